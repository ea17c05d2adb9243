"""The props of a balanced service, as a type for those who hand them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import aws_cdk as cdk
    from aws_cdk import aws_ec2 as ec2
    from aws_cdk import aws_ecs as ecs
    from aws_cdk import aws_logs as logs

    from grpc_lb_contract import Condition, RouteRule, TrafficPolicy


class AddedServiceProps(TypedDict, total=False):
    """The props of :class:`GrpcBalancedService` but ``vpc`` and ``balancer``."""

    image: ecs.ContainerImage | None
    port: int | None
    task_definition: ecs.TaskDefinition | None
    container_name: str | None
    cluster: ecs.ICluster | None
    task_subnets: ec2.SubnetSelection | None
    security_groups: Sequence[ec2.ISecurityGroup] | None
    assign_public_ip: bool | None
    service_name: str | None
    hosts: Sequence[str] | None
    grpc_services: Sequence[str] | None
    methods: Sequence[str] | None
    metadata: Sequence[Condition] | None
    priority: int | None
    routes: Sequence[RouteRule] | None
    weight: int | None
    policy: TrafficPolicy | None
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
    desired_count: int | None
    capacity_provider_strategies: Sequence[ecs.CapacityProviderStrategy] | None
    min_healthy_percent: int
    max_healthy_percent: int
    circuit_breaker: ecs.DeploymentCircuitBreaker | None
    deployment_alarms: ecs.DeploymentAlarmConfig | None
    enable_execute_command: bool
