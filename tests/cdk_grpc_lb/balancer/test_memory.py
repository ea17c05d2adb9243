"""A task's memory follows from what it carries, and the documentation says the same as Envoy's configuration."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk.assertions import Template

from cdk_grpc_lb import GrpcBalancer
from cdk_grpc_lb.balancer import task_settings as memory
from proxy_image.control_plane.xds.envoy.http2 import STREAM_WINDOW
from proxy_image.envoy import overload
from tests.cdk_grpc_lb.apps import template_app

PAGE = Path(__file__).resolve().parents[3] / "docs" / "transparency.md"


def test_the_default_memory_holds_a_thousand_stuck_streams() -> None:
    default = memory.DEFAULT_MEMORY_MIB
    assert default == memory.memory_for(memory.STUCK_STREAMS, memory.DEFAULT_CPU) == 1024
    app = template_app()
    stack = cdk.Stack(app, "Stack")
    cluster = ecs.Cluster(stack, "Cluster", vpc=ec2.Vpc(stack, "Vpc", restrict_default_security_group=False))
    GrpcBalancer(stack, "Balancer", cluster=cluster, image=ecs.ContainerImage.from_registry("x"))
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::ECS::TaskDefinition", {"Cpu": str(memory.DEFAULT_CPU), "Memory": str(default)}
    )
    before_resets = overload.max_heap_bytes(default * 2**20) * overload.RESET_FROM
    assert before_resets >= memory.ENVOY_MIB * 2**20 + memory.STUCK_STREAMS * 2 * STREAM_WINDOW


def test_more_streams_take_a_larger_task() -> None:
    assert memory.memory_for(2 * memory.STUCK_STREAMS, memory.DEFAULT_CPU) == 2048


def test_the_formula_is_that_of_envoys_configuration_and_of_the_documentation() -> None:
    assert memory.STUCK_STREAM_KIB * 2**10 == 2 * STREAM_WINDOW
    assert memory.RESERVED_MIB * 2**20 == overload.RESERVED_MEMORY
    assert memory.RESET_FROM == overload.RESET_FROM
    page = " ".join(PAGE.read_text().split())
    more = memory.STUCK_STREAMS * memory.STUCK_STREAM_KIB / 1024 / memory.RESET_FROM
    for said in (
        f"{memory.RESET_FROM:.0%}".replace("%", " %"),
        f"{memory.RESERVED_MIB} MiB of it",
        f"{memory.ENVOY_MIB} MiB of Envoy's own",
        f"{memory.STUCK_STREAMS:,} × {memory.STUCK_STREAM_KIB} KiB",
        f"by {more:g} MiB a {memory.STUCK_STREAMS:,} streams",
    ):
        assert said in page, said
