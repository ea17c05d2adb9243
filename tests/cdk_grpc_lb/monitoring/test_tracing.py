"""Tracing's part of the template: the sidecar, what it may do, and that the balancer never waits for it."""

from __future__ import annotations

import json
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_secretsmanager as secretsmanager

from cdk_grpc_lb import Collector, Tracing
from proxy_image.settings import from_environment
from proxy_image.telemetry import TracingSettings as Told
from tests.cdk_grpc_lb.template import Synthesised, synthesise
from tests.cdk_grpc_lb.validation.cases import BALANCER, balancer_in, refused, resources

SECRET = cast(ecs.Secret, None)  # which the check of its name never looks at


def traced(stack: cdk.Stack, tracing: Tracing, **props: Any) -> Synthesised:
    balancer_in(stack, tracing=tracing, **props)
    return synthesise(stack)


def told(template: Synthesised) -> Told | None:
    """What the image makes of the variables that the template gives it."""
    known = {name: value for name, value in template.environment("Balancer").items() if "TRACING" in name}
    return from_environment({"GRPC_LB_TARGETS_FILE": "x.json", **known}).telemetry.tracing


def config(template: Synthesised) -> dict[str, Any]:
    (variable,) = template.container("TraceCollector")["Environment"]
    text = variable["Value"]
    parts = [text] if isinstance(text, str) else text["Fn::Join"][1]
    found = json.loads(
        "".join(part if isinstance(part, str) else part["Fn::Sub"].replace("${!", "${") for part in parts)
    )
    assert isinstance(found, dict)
    return found


def test_by_default_nothing_is_traced(example: Synthesised) -> None:
    (container,) = example.the("AWS::ECS::TaskDefinition", "Balancer")["ContainerDefinitions"]
    assert not [name for name in example.environment("Balancer") if "TRACING" in name]
    assert not {"Cpu", "Memory"} & container.keys()


def test_the_image_understands_what_the_construct_tells_it(stack: cdk.Stack) -> None:
    tracing = Tracing(sampling_percent=0.5, service_name="edge", attributes={"deployment.environment.name": "prod"})
    heard = told(traced(stack, tracing))
    assert heard is not None
    assert (heard.percent, heard.service_name) == (0.5, "edge")
    assert heard.attributes.pairs == (("deployment.environment.name", "prod"),)


def test_the_side_car_may_send_to_x_ray_and_nothing_else(stack: cdk.Stack) -> None:
    template = traced(stack, Tracing())
    statements = [each for each in template.statements("TaskRole") if any("xray" in action for action in each.actions)]
    (statement,) = statements
    assert statement.actions == {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
    assert statement.resources == ("*",)
    pipeline = config(template)["service"]["pipelines"]["traces"]
    assert pipeline["exporters"] == ["awsxray"]
    assert pipeline["processors"][0] == "memory_limiter"


def test_the_balancer_neither_waits_for_the_side_car_nor_ends_with_it(stack: cdk.Stack) -> None:
    template = traced(stack, Tracing())
    collector, balancer = template.container("TraceCollector"), template.container("Balancer")
    assert (collector["Essential"], collector["RestartPolicy"]["Enabled"], collector["Memory"]) == (False, True, 256)
    assert "DependsOn" not in balancer
    assert balancer["Cpu"] + collector["Cpu"] == 512
    assert balancer["Cpu"] > 5 * collector["Cpu"]
    # Or Envoy, which is told of the least limit there is, would take the sidecar's part for its own.
    assert balancer["Memory"] + collector["Memory"] == 1024


def test_invariant_12_the_side_car_is_hardened_and_takes_spans_of_its_own_task_alone(stack: cdk.Stack) -> None:
    template = traced(stack, Tracing())
    collector = template.container("TraceCollector")
    assert collector["ReadonlyRootFilesystem"] is True
    assert collector["User"] == "10002:10002"
    assert collector["LinuxParameters"]["Capabilities"]["Drop"] == ["ALL"]
    assert not collector.get("PortMappings")
    assert config(template)["receivers"]["otlp"]["protocols"] == {"grpc": {"endpoint": "127.0.0.1:4317"}}
    assert "latest" not in collector["Image"]


def test_another_backend_gets_spans_with_headers_that_stay_secret(stack: cdk.Stack) -> None:
    secret = secretsmanager.Secret.from_secret_name_v2(stack, "Key", "backend-key")
    headers = {"x-api-key": ecs.Secret.from_secrets_manager(secret)}
    template = traced(stack, Tracing(collector=Collector.otlp("https://otlp.example.com", headers=headers)))
    assert config(template)["exporters"] == {
        "otlphttp": {"endpoint": "https://otlp.example.com", "headers": {"x-api-key": "${env:HEADER_0}"}}
    }
    (given,) = template.container("TraceCollector")["Secrets"]
    assert given["Name"] == "HEADER_0"
    assert not [each for each in template.statements() if any("xray" in action for action in each.actions)]


def test_a_collector_elsewhere_needs_no_side_car(stack: cdk.Stack) -> None:
    template = traced(stack, Tracing(collector=Collector.at("collector.internal:4317")))
    assert template.environment("Balancer")["GRPC_LB_TRACING_COLLECTOR"] == "collector.internal:4317"
    (definition,) = template.of_type("AWS::ECS::TaskDefinition").values()
    assert [container["Name"] for container in definition["ContainerDefinitions"]] == ["Balancer"]


def test_a_configuration_and_image_of_ones_own(stack: cdk.Stack) -> None:
    own = {"receivers": {"otlp": {"protocols": {"grpc": {"endpoint": stack.region}}}}}
    image = ecs.ContainerImage.from_registry("otel/opentelemetry-collector-contrib:0.140.0")
    template = traced(stack, Tracing(collector=Collector(config=own, image=image, memory_limit_mib=128)))
    collector = template.container("TraceCollector")
    assert collector["Image"] == "otel/opentelemetry-collector-contrib:0.140.0"
    assert collector["Memory"] == 128
    assert collector["Command"] == ["--config=env:AOT_CONFIG_CONTENT"]


@pytest.mark.parametrize(
    ("tracing", "prop", "allowed", "got"),
    [
        (Tracing(sampling_percent=101), "tracing.sampling_percent", "0..100", "101"),
        (Tracing(sampling_percent=float("nan")), "tracing.sampling_percent", "0..100", "nan"),
        (Tracing(service_name=" "), "tracing.service_name", "a name", "' '"),
        (
            Tracing(attributes={"Team": "a"}),
            "tracing.attributes",
            "a-z, 0-9, _ and . as keys, values without = and ,",
            "Team=a",
        ),
        (
            Tracing(collector=Collector.at("http://collector")),
            "tracing.collector",
            "at a host:port such as collector.internal:4317",
            "'http://collector'",
        ),
        (
            Tracing(collector=Collector.otlp("otlp.example.com")),
            "tracing.collector",
            "an OTLP endpoint such as https://otlp.example.com",
            "'otlp.example.com'",
        ),
        (
            Tracing(collector=Collector.otlp("https://otlp.example.com", headers={"x key": SECRET})),
            "tracing.collector",
            "given names of headers of A-Z, a-z, 0-9 and -",
            "'x key'",
        ),
        (Tracing(collector=Collector()), "tracing.collector", "a sidecar with a config, or at an address", "neither"),
        (
            Tracing(collector=Collector(config={}, memory_limit_mib=1024)),
            "tracing.collector.memory_limit_mib",
            "64..512",
            "1024",
        ),
    ],
)
def test_what_no_balancer_could_be_told_is_refused_before_anything_is_made(
    stack: cdk.Stack, tracing: Tracing, prop: str, allowed: str, got: str
) -> None:
    with refused(BALANCER, prop, allowed, got):
        balancer_in(stack, tracing=tracing)
    assert not resources(stack)


def test_a_task_too_small_for_a_side_car_is_refused(stack: cdk.Stack) -> None:
    allowed = "at least 1024 with a sidecar that takes traces (or send them to a Collector.at)"
    with refused(BALANCER, "memory_limit_mib", allowed, "512"):
        balancer_in(stack, tracing=Tracing(), cpu=256, memory_limit_mib=512)


def test_a_small_task_sends_its_spans_elsewhere(stack: cdk.Stack) -> None:
    template = traced(stack, Tracing(collector=Collector.at("otel.internal:4317")), cpu=256, memory_limit_mib=512)
    assert "Memory" not in template.container("Balancer")
