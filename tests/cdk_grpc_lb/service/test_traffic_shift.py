"""Services whose deployments shift traffic themselves are refused, with what to do instead."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from cdk_grpc_lb import GrpcBalancer
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.validation.cases import balancer_in
from tests.cdk_grpc_lb.ways import IMAGE


@pytest.fixture(scope="module")
def balancer() -> GrpcBalancer:
    """One for all services that are refused."""
    return balancer_in(cdk.Stack(template_app(), "Stack"))


def service_with(scope: Construct, cluster: ecs.ICluster, **props: Any) -> ecs.FargateService:
    definition = ecs.FargateTaskDefinition(scope, "Task")
    definition.add_container("App", image=IMAGE, port_mappings=[ecs.PortMapping(container_port=50051)])
    return ecs.FargateService(
        scope, "Service", cluster=cluster, task_definition=definition, min_healthy_percent=100, **props
    )


def controller(kind: ecs.DeploymentControllerType) -> dict[str, Any]:
    return {"deployment_controller": ecs.DeploymentController(type=kind)}


@pytest.mark.parametrize(
    ("props", "got"),
    [
        (controller(ecs.DeploymentControllerType.CODE_DEPLOY), "the deployment controller CODE_DEPLOY"),
        (controller(ecs.DeploymentControllerType.EXTERNAL), "the deployment controller EXTERNAL"),
        ({"deployment_strategy": ecs.DeploymentStrategy.BLUE_GREEN}, "the deployment strategy BLUE_GREEN"),
        ({"deployment_strategy": ecs.DeploymentStrategy.LINEAR}, "the deployment strategy LINEAR"),
        ({"deployment_strategy": ecs.DeploymentStrategy.CANARY}, "the deployment strategy CANARY"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_service_that_shifts_traffic_is_refused(balancer: GrpcBalancer, props: dict[str, Any], got: str) -> None:
    service = service_with(Construct(cdk.Stack.of(balancer), got), balancer.cluster, **props)
    with pytest.raises(ValueError, match=f"must be one with rolling deployments .*, got {got}"):
        balancer.register(service, service_name="old")


@pytest.mark.parametrize(
    "props", [{}, controller(ecs.DeploymentControllerType.ECS), {"deployment_strategy": ecs.DeploymentStrategy.ROLLING}]
)
def test_a_rolling_service_is_taken(stack: cdk.Stack, props: dict[str, Any]) -> None:
    balancer = balancer_in(stack)
    service = service_with(stack, balancer.cluster, **props)
    balancer.register(service, service_name="old")
    assert service.node.validate() == []


def test_a_service_that_becomes_one_later_is_refused_at_synth(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    service = service_with(stack, balancer.cluster)
    balancer.register(service, service_name="old")
    resource = service.node.find_child("Service")
    assert isinstance(resource, ecs.CfnService)
    resource.deployment_controller = ecs.CfnService.DeploymentControllerProperty(type="CODE_DEPLOY")
    (problem,) = service.node.validate()
    assert "got the deployment controller CODE_DEPLOY" in problem
