"""A service that exists already is registered: it gets labels and a rule, and nothing of it is replaced."""

from __future__ import annotations

import copy

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb import GrpcBalancer
from grpc_lb_contract import Registration, read_labels
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.template import Synthesised, as_text, synthesise
from tests.cdk_grpc_lb.ways import IMAGE, existing_vpc, legacy_service


@pytest.fixture(scope="module")
def before() -> Synthesised:
    """The stack of the service, as it was before there was a balancer."""
    app = template_app()
    return synthesise(cdk.Stack.of(legacy_service(app)))


@pytest.fixture
def after(ways: dict[str, Synthesised]) -> Synthesised:
    return ways["Legacy"]


def test_nothing_but_the_labels_of_its_container_changes(before: Synthesised, after: Synthesised) -> None:
    """GIVEN the stack before, WHEN its service is registered, THEN every logical id and every other property stays."""
    expected = copy.deepcopy(before.body["Resources"])
    (definition,) = (resource for resource in expected.values() if resource["Type"] == "AWS::ECS::TaskDefinition")
    definition["Properties"]["ContainerDefinitions"][1]["DockerLabels"] = {
        "team": "legacy",
        "grpc-lb.enable": "true",
        "grpc-lb.service": "legacy-rng",
        "grpc-lb.port": "7000",
        "cdk-grpc-lb.registered-with": "Fleet/Balancer-f2f21884",
    }
    assert after.body["Resources"] == expected


def test_the_lambda_reads_its_labels_as_asked(after: Synthesised) -> None:
    container = after.container("Server")
    ports = [mapping["ContainerPort"] for mapping in container["PortMappings"]]
    reading = read_labels(container["DockerLabels"], mapped_ports=ports, default_service="x", family="f")
    assert reading.registration == Registration("legacy-rng", 7000)
    assert reading.errors == ()


def test_the_balancer_may_reach_it(ways: dict[str, Synthesised]) -> None:
    """GIVEN a balancer that uses the service's cluster, THEN the rule is of its stack: no stack refers both ways."""
    rules = [
        rule
        for rule in ways["Fleet"].of_type("AWS::EC2::SecurityGroupIngress").values()
        if "ServiceSecurityGroup" in as_text(rule["GroupId"]) and "Legacy" in as_text(rule["GroupId"])
    ]
    (rule,) = rules
    assert (rule["FromPort"], rule["ToPort"]) == (7000, 7000)
    assert as_text(rule["SourceSecurityGroupId"]) == "${BalancerServiceSecurityGroup9D588787.GroupId}"
    assert "Fn::ImportValue" not in str(ways["Legacy"].body)


def test_an_ec2_service_is_registered_the_same_way(stack: cdk.Stack) -> None:
    cluster = ecs.Cluster.from_cluster_attributes(
        stack, "Cluster", cluster_name="existing", vpc=existing_vpc(stack), has_ec2_capacity=True
    )
    definition = ecs.Ec2TaskDefinition(stack, "Task", network_mode=ecs.NetworkMode.AWS_VPC)
    definition.add_container(
        "App", image=IMAGE, memory_limit_mib=128, port_mappings=[ecs.PortMapping(container_port=7000)]
    )
    service = ecs.Ec2Service(stack, "Service", cluster=cluster, task_definition=definition, min_healthy_percent=100)
    GrpcBalancer(stack, "Balancer", cluster=cluster).register(service, service_name="old", hosts=["old.internal"])
    template = synthesise(stack)
    assert template.container("App")["DockerLabels"]["grpc-lb.hosts"] == "old.internal"
    ((source, port),) = template.open_ports("ServiceSecurityGroupC96ED6A7")
    assert (source, port) == ("${BalancerServiceSecurityGroup9D588787.GroupId}", 7000)


@pytest.mark.parametrize("is_added_later", [False, True])
def test_a_label_that_may_have_any_value_keeps_its_own(stack: cdk.Stack, is_added_later: bool) -> None:
    cluster = ecs.Cluster(stack, "Cluster", vpc=existing_vpc(stack))
    definition = ecs.FargateTaskDefinition(stack, "Task")
    team = {"team": "rng"}
    container = definition.add_container(
        "App",
        image=IMAGE,
        docker_labels={} if is_added_later else team,
        port_mappings=[ecs.PortMapping(container_port=7000)],
    )
    service = ecs.FargateService(stack, "Old", cluster=cluster, task_definition=definition, min_healthy_percent=100)
    GrpcBalancer(stack, "Balancer", cluster=cluster, only_label="team").register(service, service_name="rng")
    for name, value in team.items() if is_added_later else ():
        container.add_docker_label(name, value)
    assert synthesise(stack).container("App")["DockerLabels"]["team"] == "rng"


def test_one_service_may_be_behind_two_balancers(stack: cdk.Stack) -> None:
    cluster = ecs.Cluster(stack, "Cluster", vpc=existing_vpc(stack))
    definition = ecs.FargateTaskDefinition(stack, "Task")
    definition.add_container("App", image=IMAGE, port_mappings=[ecs.PortMapping(container_port=7000)])
    service = ecs.FargateService(stack, "Service", cluster=cluster, task_definition=definition, min_healthy_percent=100)
    for name in ("One", "Two"):
        GrpcBalancer(stack, name, cluster=cluster).register(service, service_name="rng")
    sources = {source for source, _port in synthesise(stack).open_ports("ServiceSecurityGroupC96ED6A7")}
    assert {source[2:5] for source in sources} == {"One", "Two"}


def test_a_caller_of_a_third_stack_may_have_services_of_its_own() -> None:
    """GIVEN a stack that calls the balancer and is called by it, THEN one can be deployed after the other."""
    app = template_app()
    platform, team = cdk.Stack(app, "Platform"), cdk.Stack(app, "Team")
    vpc = ec2.Vpc(platform, "Vpc", max_azs=2, restrict_default_security_group=False)
    balancer = GrpcBalancer(platform, "Balancer", cluster=ecs.Cluster(platform, "Cluster", vpc=vpc))
    client = ec2.SecurityGroup(team, "Client", vpc=vpc, allow_all_outbound=False)
    balancer.allow_from(client)
    balancer.allow_xds_from(client)
    app.synth()
    assert [stack.node.id for stack in team.dependencies] == ["Platform"]
    assert platform.dependencies == []
    assert {port for _source, port in synthesise(team).open_ports("BalancerLoadBalancer")} == {50051, 18000}
    egress = synthesise(team).of_type("AWS::EC2::SecurityGroupEgress").values()
    assert {rule["FromPort"] for rule in egress} == {50051, 18000}
