"""The props of a balanced service: the one place that has their names, types and defaults.

``GrpcBalancedService`` takes them all, ``add_service`` all but two, ``register`` those of calls. The docstrings of
these say what each means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs

from grpc_lb_contract import Condition, RouteRule, TrafficPolicy

if TYPE_CHECKING:
    from cdk_grpc_lb.balancer.balancer_base import GrpcBalancerBase


class CallProps(TypedDict, total=False):
    """Which calls a service takes, and how they are treated."""

    hosts: Sequence[str] | None
    grpc_services: Sequence[str] | None
    methods: Sequence[str] | None
    metadata: Sequence[Condition] | None
    priority: int | None
    routes: Sequence[RouteRule] | None
    weight: int | None
    policy: TrafficPolicy | None


class TaskProps(TypedDict, total=False):
    """What a service's task is made of."""

    image: ecs.ContainerImage | None
    port: int | None
    cpu: int | None
    memory_limit_mib: int | None
    runtime_platform: ecs.RuntimePlatform | None
    environment: Mapping[str, str] | None
    secrets: Mapping[str, ecs.Secret] | None
    health_check: ecs.HealthCheck | None
    grpc_health_probe: str | None
    drain_time: cdk.Duration | None
    log_driver: ecs.LogDriver | None
    log_retention: logs.RetentionDays | None


class AddedServiceProps(TaskProps, CallProps, total=False):
    """The props of :class:`GrpcBalancedService` but ``vpc`` and ``balancer``."""

    task_definition: ecs.TaskDefinition | None
    container_name: str | None
    cluster: ecs.ICluster | None
    task_subnets: ec2.SubnetSelection | None
    security_groups: Sequence[ec2.ISecurityGroup] | None
    assign_public_ip: bool | None
    service_name: str | None
    desired_count: int | None
    capacity_provider_strategies: Sequence[ecs.CapacityProviderStrategy] | None
    min_healthy_percent: int
    max_healthy_percent: int
    circuit_breaker: ecs.DeploymentCircuitBreaker | None
    deployment_alarms: ecs.DeploymentAlarmConfig | None
    enable_execute_command: bool


class ServiceProps(AddedServiceProps, total=False):
    """The props of :class:`GrpcBalancedService`."""

    vpc: ec2.IVpc | None
    balancer: GrpcBalancerBase | None


DEFAULTS: Mapping[str, Any] = {
    "min_healthy_percent": 100,
    "max_healthy_percent": 200,
    "enable_execute_command": False,
}
"""Of those that are not None."""

_Part = TypeVar("_Part", CallProps, TaskProps)


def part_of(given: Mapping[str, Any], kind: type[_Part]) -> _Part:
    """Those of the props that are of a kind."""
    return cast(_Part, {name: value for name, value in given.items() if name in kind.__annotations__})
