"""The balanced service's part of the template."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm

from cdk_grpc_lb import GrpcBalancedService, GrpcBalancer
from cdk_grpc_lb.service.defaults import logical_name
from grpc_lb_contract import (
    Condition,
    Match,
    Overrides,
    Registration,
    RetryStatus,
    RouteRule,
    TrafficPolicy,
    read_labels,
)
from grpc_lb_contract.policy.traffic_policy import TABLE
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.template import Synthesised, synthesise

IMAGE = ecs.ContainerImage.from_registry("example/rng")


def test_the_labels_say_what_the_props_said(shared: dict[str, Synthesised]) -> None:
    """GIVEN the labels of the template, WHEN the Lambda's code reads them, THEN it gets each service as asked for."""
    found = {
        read_labels(
            container["DockerLabels"],
            mapped_ports=[mapping["ContainerPort"] for mapping in container["PortMappings"]],
            default_service="other",
            family="family",
        )
        for definition in shared["team"].of_type("AWS::ECS::TaskDefinition").values()
        for container in definition["ContainerDefinitions"]
    }
    assert {reading.errors for reading in found} == {()}
    assert {reading.registration for reading in found} == {
        Registration("orders", 8443, hosts=("orders.internal", "*.orders")),
        Registration("orders", 8443, grpc_services=("orders.v1.Orders",)),
    }


def test_a_service_without_props_takes_all_calls_under_the_name_of_its_id(example: Synthesised) -> None:
    labels = example.container("App")["DockerLabels"]
    assert {label: text for label, text in labels.items() if "health-check" not in label} == {
        "grpc-lb.enable": "true",
        "grpc-lb.service": "random-numbers",
        "grpc-lb.port": "50051",
        "cdk-grpc-lb.registered-with": "GrpcRandomNumbers/RandomNumbers-Balancer-b5fc1718",
    }


@pytest.mark.parametrize(
    ("construct_id", "name"),
    [
        ("RandomNumbers", "random-numbers"),
        ("rng", "rng"),
        ("HTTPEcho_v2", "http-echo-v2"),
        ("Orders2Api", "orders2-api"),
        ("--Edge--", "edge"),
        ("A" * 80, "a" * 63),
    ],
)
def test_the_default_name_is_made_of_the_id(construct_id: str, name: str) -> None:
    assert logical_name(construct_id) == name


def test_a_deployment_keeps_every_task_and_goes_back_when_it_fails(example: Synthesised) -> None:
    service = example.the("AWS::ECS::Service", "RandomNumbersService")
    assert service["DesiredCount"] == 2
    assert service["DeploymentConfiguration"] == {
        "MinimumHealthyPercent": 100,
        "MaximumPercent": 200,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
    }


def test_a_stopped_task_may_finish_its_calls(example: Synthesised) -> None:
    """GIVEN a task that serves on for a grace time and then waits for its calls, THEN ECS kills it only after both."""
    grace = int(example.environment("App")["SHUTDOWN_GRACE_SECONDS"])
    assert grace + 15 < example.container("App")["StopTimeout"]


def test_services_share_a_balancer_of_another_stack(shared: dict[str, Synthesised]) -> None:
    team, platform = shared["team"], shared["platform"]
    assert not team.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert not team.of_type("AWS::Lambda::Function")
    assert {service["Cluster"] for service in team.of_type("AWS::ECS::Service").values()} == {"existing"}
    assert {service["DesiredCount"] for service in team.of_type("AWS::ECS::Service").values()} == {2, 0}
    for group in ("OrdersServiceSecurityGroup", "OrdersCanaryServiceSecurityGroup"):
        ((source, port),) = team.open_ports(group)
        assert port == 8443
        assert "Platform" in source
    assert not platform.open_ports("Orders")


def test_what_is_given_is_used(shared: dict[str, Synthesised]) -> None:
    (canary,) = (
        container
        for name, definition in shared["team"].of_type("AWS::ECS::TaskDefinition").items()
        for container in definition["ContainerDefinitions"]
        if "Canary" in name
    )
    assert canary["StopTimeout"] == 90
    assert canary["HealthCheck"]["Command"] == ["CMD", "probe"]
    assert not shared["team"].of_type("AWS::EC2::VPC")


def test_a_given_vpc_gets_the_cluster(stack: cdk.Stack) -> None:
    vpc = ec2.Vpc(stack, "Own", max_azs=2, nat_gateways=1, restrict_default_security_group=False)
    service = GrpcBalancedService(stack, "Service", image=IMAGE, port=50051, vpc=vpc)
    assert len(synthesise(stack).of_type("AWS::EC2::VPC")) == 1
    assert service.cluster.vpc.node.path == vpc.node.path
    assert service.balancer.cluster.node.path == service.cluster.node.path


def test_tokens_go_through_unchecked(stack: cdk.Stack) -> None:
    """GIVEN values that only the deployment knows, THEN synth takes them and puts them where they belong."""
    text = cdk.CfnParameter(stack, "Name").value_as_string
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    GrpcBalancedService(
        stack,
        "Service",
        image=IMAGE,
        port=number,  # type: ignore[arg-type]  # the CDK's number tokens are floats
        desired_count=number,  # type: ignore[arg-type]
        service_name=text,
        hosts=["*.internal", text],
        grpc_services=cdk.CfnParameter(stack, "Services", type="CommaDelimitedList").value_as_list,
        drain_time=cdk.Duration.seconds(number),
    )
    container = synthesise(stack).container("App")
    assert {name: value for name, value in container["DockerLabels"].items() if name.startswith("grpc-lb.")} == {
        "grpc-lb.enable": "true",
        "grpc-lb.service": {"Ref": "Name"},
        "grpc-lb.port": {"Ref": "Number"},
        "grpc-lb.hosts": {"Fn::Join": ["", ["*.internal,", {"Ref": "Name"}]]},
        "grpc-lb.grpc-services": {"Fn::Join": [",", {"Ref": "Services"}]},
    }
    assert container["PortMappings"][0]["ContainerPort"] == {"Ref": "Number"}
    assert container["StopTimeout"] == 120


def test_tokens_of_balancers_and_deployments_go_through_unchecked(stack: cdk.Stack) -> None:
    text = cdk.CfnParameter(stack, "Name").value_as_string
    number: int = cdk.CfnParameter(stack, "Number", type="Number").value_as_number  # type: ignore[assignment]  # likewise
    balancer = GrpcBalancer(
        stack,
        "Balancer",
        cluster=ecs.Cluster(stack, "Cluster", vpc=ec2.Vpc(stack, "Vpc", restrict_default_security_group=False)),
        port=number,
        cpu=number,
        memory_limit_mib=number,
        only_services=cdk.Fn.split(",", text),
        only_label=f"team={text}",
        web_hosts=cdk.Fn.split(",", text),
    )
    service = balancer.add_service(
        "Orders",
        image=IMAGE,
        port=50051,
        cpu=number,
        memory_limit_mib=number,
        min_healthy_percent=number,
        max_healthy_percent=number,
        grpc_health_probe=text,
        capacity_provider_strategies=[
            ecs.CapacityProviderStrategy(capacity_provider=text, base=number, weight=number),
            ecs.CapacityProviderStrategy(capacity_provider=text, base=number, weight=number),
        ],
    )
    service.auto_scale_task_count(
        min_capacity=number,
        max_capacity=number,
        cpu_percent=number,
        calls_metric=service.metric_cpu_utilization(),
        calls_per_target=number,
    )
    template = synthesise(stack)
    assert template.container("App")["DockerLabels"]["team"] == {"Ref": "Name"}
    variables = template.the("AWS::Lambda::Function")["Environment"]["Variables"]
    names = {"Fn::Join": [",", {"Fn::Split": [",", {"Ref": "Name"}]}]}
    assert variables["GRPC_LB_ONLY_SERVICES"] == names
    assert template.environment("Balancer")["GRPC_LB_WEB_HOSTS"] == names
    assert variables["GRPC_LB_ONLY_LABEL"] == {"Fn::Join": ["", ["team=", {"Ref": "Name"}]]}


def test_parameters_that_the_cli_has_still_to_look_up_go_through_unchecked() -> None:
    """GIVEN a first synth, in which each is ``dummy-value-for-...``, THEN it succeeds: only then are they looked up."""
    stack = cdk.Stack(template_app(), "Stack", env=cdk.Environment(account="111122223333", region="eu-west-1"))

    def looked_up(name: str) -> str:
        return ssm.StringParameter.value_from_lookup(stack, f"/shop/{name}")

    vpc = ec2.Vpc.from_lookup(stack, "Vpc", vpc_id=looked_up("vpc"))
    cluster = ecs.Cluster.from_cluster_attributes(stack, "Cluster", cluster_name=looked_up("cluster"), vpc=vpc)
    balancer = GrpcBalancer(
        stack,
        "Balancer",
        cluster=cluster,
        image_build_args={"PIP_INDEX_URL": looked_up("index")},
        web_hosts=[looked_up("page")],
    )
    tenant = Condition("x-tenant", Match.EXACT, looked_up("tenant"))
    balancer.add_service("Orders", image=IMAGE, port=7000, hosts=[looked_up("host")], metadata=[tenant])
    labels = synthesise(stack).container("App")["DockerLabels"]
    assert labels["grpc-lb.hosts"] == "dummy-value-for-/shop/host"


def test_a_service_is_connectable_and_grantable(stack: cdk.Stack) -> None:
    service = GrpcBalancedService(stack, "Orders", image=IMAGE, port=7000)
    sqs.Queue(stack, "Queue").grant_send_messages(service)
    client = ec2.SecurityGroup(stack, "Client", vpc=service.cluster.vpc)
    service.balancer.connections.allow_default_port_from(client)
    service.connections.allow_default_port_from(client)
    template = synthesise(stack)
    assert [
        statement for statement in template.statements("OrdersTaskDefinition") if "sqs:SendMessage" in statement.actions
    ]
    assert [port for source, port in template.open_ports("LoadBalancerSecurityGroup") if "Client" in source] == [50051]
    assert [port for source, port in template.open_ports("OrdersServiceSecurityGroup") if "Client" in source] == [7000]


def test_the_package_exports_its_constructs_and_all_that_a_policy_is_made_of() -> None:
    """GIVEN a user who imports nothing but `cdk_grpc_lb`, THEN every part of a policy and what it holds is there."""
    import cdk_grpc_lb

    constructs = [
        "GrpcAlarms",
        "GrpcBalancedService",
        "GrpcBalancer",
        "GrpcBalancerBase",
        "GrpcDashboard",
        "TargetSync",
    ]
    of_routes = (RouteRule, Overrides, Condition, Match)
    parts = {type(getattr(TrafficPolicy(), part)) for part in TrafficPolicy.__dataclass_fields__}
    held = {type(row.setting.kind.example) for row in TABLE if isinstance(row.setting.kind.example, Enum)}
    names = {kind.__name__ for kind in (*of_routes, TrafficPolicy, RetryStatus, *parts, *held)}
    assert {*constructs, *names} < set(cdk_grpc_lb.__all__)
    assert (Path(cdk_grpc_lb.__file__).parent / "py.typed").exists()
