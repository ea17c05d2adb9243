"""Parts that do not fit together fail at synth: clusters, task definitions, services, balancers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb import Condition, GrpcBalancedService, GrpcBalancer, Match
from tests.cdk_grpc_lb.validation.cases import (
    SERVICE,
    balancer_in,
    contradiction,
    existing_cluster,
    provider,
    refused,
    resources,
)
from tests.cdk_grpc_lb.ways import IMAGE, existing_vpc

TCP = ecs.PortMapping(container_port=7000)
REGISTERED = "the registered service Stack/Old"
OTHERS = "one of the balancer's, Stack/Existing (see GrpcBalancer.add_cluster)"


@contextmanager
def both_take(calls: str, holder: str, other: str) -> Iterator[None]:
    """An error that names both services, what both take, and what to do."""
    sentence = rf"\S+/{holder} and \S+/{other} both take {re.escape(calls)} on this balancer: give one of them hosts="
    with pytest.raises(ValueError, match=sentence):
        yield


def task(stack: cdk.Stack, **containers: list[ecs.PortMapping]) -> ecs.FargateTaskDefinition:
    definition = ecs.FargateTaskDefinition(stack, "Task")
    for name, mappings in containers.items():
        definition.add_container(name, image=IMAGE, port_mappings=mappings)
    return definition


def service_of(stack: cdk.Stack, definition: Any, **props: Any) -> GrpcBalancedService:
    return GrpcBalancedService(
        stack, "RandomNumbers", task_definition=definition, cluster=existing_cluster(stack), **props
    )


def old_service(stack: cdk.Stack, cluster: ecs.ICluster, **labels: str) -> ecs.FargateService:
    definition = ecs.FargateTaskDefinition(stack, "Task")
    definition.add_container("App", image=IMAGE, port_mappings=[TCP], docker_labels=labels)
    return ecs.FargateService(stack, "Old", cluster=cluster, task_definition=definition, min_healthy_percent=100)


@pytest.mark.parametrize(
    ("label", "value", "problem"),
    [
        ("GRPC-LB.weigth", "5", r"must be a label that exists \(grpc-lb.weight\?\)"),
        ("grpc-lb.deadline.max", "5", "must be a time 1ms..24h such as .*"),
    ],
)
def test_a_label_by_hand_that_the_lambda_would_reject_is_refused(
    stack: cdk.Stack, label: str, value: str, problem: str
) -> None:
    balancer = balancer_in(stack)
    service = old_service(stack, balancer.cluster, **{label: value, "grpc-lb.priority": "7", "team": "rng"})
    told = f"^docker label {label} {problem}, got '{value}' \\(container App, for the registered service Stack/Old\\)$"
    with pytest.raises(ValueError, match=told):
        balancer.register(service, service_name="old")


@pytest.mark.parametrize(("label", "value"), [("grpc-lb.weigth", "5"), ("grpc-lb.service", "new")])
def test_a_label_that_is_added_after_the_registration_is_refused_at_synth(
    stack: cdk.Stack, label: str, value: str
) -> None:
    balancer = balancer_in(stack)
    service = old_service(stack, balancer.cluster)
    balancer.register(service, service_name="old")
    container = service.task_definition.default_container
    assert container is not None
    container.add_docker_label("team", "rng")
    container.add_docker_label("grpc-lb.retry.max-retries", "2")
    assert service.node.validate() == []
    container.add_docker_label(label, value)
    (problem,) = service.node.validate()
    assert label in problem
    assert "the registered service Stack/Old)" in problem


def test_a_vpc_beside_a_cluster_is_refused(stack: cdk.Stack) -> None:
    cluster = existing_cluster(stack)
    with contradiction(SERVICE, "vpc", "cluster", "a cluster has its VPC; leave vpc out"):
        GrpcBalancedService(stack, "RandomNumbers", image=IMAGE, port=1, vpc=cluster.vpc, cluster=cluster)


def test_a_vpc_beside_a_balancer_is_refused(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    with contradiction(SERVICE, "vpc", "balancer", "a service runs in the VPC of its balancer; leave vpc out"):
        GrpcBalancedService(stack, "RandomNumbers", image=IMAGE, port=1, vpc=balancer.cluster.vpc, balancer=balancer)


def test_a_cluster_that_the_balancer_does_not_look_at_is_refused(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    other = ecs.Cluster.from_cluster_attributes(stack, "Other", cluster_name="other", vpc=balancer.cluster.vpc)
    with refused(SERVICE, "cluster", OTHERS, "Stack/Other"):
        GrpcBalancedService(stack, "RandomNumbers", image=IMAGE, port=1, cluster=other, balancer=balancer)
    with refused(REGISTERED, "cluster", OTHERS, "Stack/Other"):
        balancer.register(old_service(stack, other), service_name="old")


def test_another_cluster_of_this_app_is_refused(stack: cdk.Stack) -> None:
    vpc = existing_vpc(stack)
    balancer = GrpcBalancer(stack, "Balancer", cluster=ecs.Cluster(stack, "Existing", vpc=vpc))
    with refused(SERVICE, "cluster", OTHERS, "Stack/Other"):
        GrpcBalancedService(
            stack, "RandomNumbers", image=IMAGE, port=1, balancer=balancer, cluster=ecs.Cluster(stack, "Other", vpc=vpc)
        )


def test_a_cluster_that_was_added_is_fine(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    other = ecs.Cluster.from_cluster_attributes(stack, "Other", cluster_name="other", vpc=balancer.cluster.vpc)
    balancer.add_cluster("OtherTargets", other)
    service = GrpcBalancedService(stack, "RandomNumbers", image=IMAGE, port=1, cluster=other, balancer=balancer)
    assert service.cluster.cluster_name == "other"


def test_the_balancers_own_cluster_may_be_given_too(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    same = ecs.Cluster.from_cluster_attributes(stack, "Again", cluster_name="existing", vpc=balancer.cluster.vpc)
    service = GrpcBalancedService(stack, "Service", image=IMAGE, port=1, cluster=same, balancer=balancer)
    assert service.balancer is balancer


def test_a_cluster_without_its_vpc_is_refused(stack: cdk.Stack) -> None:
    arn = "arn:aws:ecs:us-east-1:111122223333:cluster/other"
    allowed = "one that knows its VPC (import it with Cluster.from_cluster_attributes and its vpc)"
    with refused(SERVICE, "cluster", allowed, "Stack/Other"):
        cluster = ecs.Cluster.from_cluster_arn(stack, "Other", arn)
        GrpcBalancedService(stack, "RandomNumbers", image=IMAGE, port=1, cluster=cluster)


def test_a_vpc_whose_addresses_are_not_known_cannot_be_opened_to(stack: cdk.Stack) -> None:
    vpc = ec2.Vpc.from_vpc_attributes(
        stack, "Vpc", vpc_id="vpc-1", availability_zones=["a"], private_subnet_ids=["subnet-1"]
    )
    cluster = ecs.Cluster.from_cluster_attributes(stack, "Existing", cluster_name="existing", vpc=vpc)
    with pytest.raises(ValueError, match=r"import the VPC with vpc_cidr_block .*got the VPC Stack/Vpc without one"):
        GrpcBalancedService(stack, "RandomNumbers", image=IMAGE, port=1, cluster=cluster)


@pytest.mark.parametrize(
    ("prop", "value"),
    [
        ("image", IMAGE),
        ("cpu", 256),
        ("memory_limit_mib", 512),
        ("runtime_platform", ecs.RuntimePlatform()),
        ("environment", {"A": "1"}),
        ("secrets", {}),
        ("health_check", ecs.HealthCheck(command=["CMD", "probe"])),
        ("grpc_health_probe", "/bin/probe"),
        ("drain_time", cdk.Duration.seconds(1)),
        ("log_driver", ecs.LogDrivers.firelens()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_task_definition_says_is_not_said_again(stack: cdk.Stack, prop: str, value: Any) -> None:
    fix = "a task definition says all about its containers; leave out either"
    with contradiction(SERVICE, prop, "task_definition", fix):
        service_of(stack, task(stack, Server=[TCP]), **{prop: value})


def test_a_task_definition_of_another_app_is_refused(stack: cdk.Stack) -> None:
    imported = ecs.FargateTaskDefinition.from_fargate_task_definition_arn(
        stack, "Task", "arn:aws:ecs:us-east-1:111122223333:task-definition/rng:1"
    )
    with pytest.raises(ValueError, match=r"^task_definition must be one made in this app, because its container gets"):
        service_of(stack, imported)


def test_a_task_definition_that_is_not_for_fargate_is_refused(stack: cdk.Stack) -> None:
    definition = ecs.Ec2TaskDefinition(stack, "Task", network_mode=ecs.NetworkMode.AWS_VPC)
    allowed = "one for Fargate (compatibility FARGATE or EC2_AND_FARGATE)"
    with refused(SERVICE, "task_definition", allowed, "Stack/Task"):
        service_of(stack, definition)


def test_a_task_that_maps_no_port_is_refused(stack: cdk.Stack) -> None:
    allowed = "a mapped port of Stack/Task: none (add a port mapping)"
    with refused(SERVICE, "port", allowed, "None"):
        service_of(stack, task(stack, Server=[]))


def test_a_port_that_is_not_mapped_is_refused(stack: cdk.Stack) -> None:
    with refused(SERVICE, "port", "a mapped port of Stack/Task: 7000 of Server", "7001"):
        service_of(stack, task(stack, Server=[TCP]), port=7001)


def test_a_port_of_udp_is_none(stack: cdk.Stack) -> None:
    udp = ecs.PortMapping(container_port=7000, protocol=ecs.Protocol.UDP)
    with refused(SERVICE, "port", "a mapped port of Stack/Task: none (add a port mapping)", "7000"):
        service_of(stack, task(stack, Server=[udp]), port=7000)


def test_a_port_may_be_one_of_a_range(stack: cdk.Stack) -> None:
    """As the Lambda reads it: a task definition that works by labels of its own works with the constructs."""
    ports = ecs.PortMapping(
        container_port=ecs.ContainerDefinition.CONTAINER_PORT_USE_RANGE, container_port_range="50051-50055"
    )
    definition, balancer = task(stack, Server=[ports]), balancer_in(stack)
    with refused(SERVICE, "port", "one of those that Stack/Task maps: 50051-50055 of Server", "None"):
        GrpcBalancedService(stack, "RandomNumbers", task_definition=definition, balancer=balancer)
    beyond = "GrpcBalancedService Stack/Beyond"
    with refused(beyond, "port", "a mapped port of Stack/Task: 50051-50055 of Server", "50056"):
        GrpcBalancedService(stack, "Beyond", task_definition=definition, balancer=balancer, port=50056)
    assert balancer.add_service("Chosen", task_definition=definition, port=50055).port == 50055


def test_a_choice_of_ports_is_not_guessed(stack: cdk.Stack) -> None:
    definition = task(stack, Server=[TCP], Metrics=[ecs.PortMapping(container_port=9090)])
    allowed = "one of those that Stack/Task maps: 7000 of Server, 9090 of Metrics"
    balancer = balancer_in(stack)
    with refused(SERVICE, "port", allowed, "None"):
        GrpcBalancedService(stack, "RandomNumbers", task_definition=definition, balancer=balancer)
    chosen = balancer.add_service("Chosen", task_definition=definition, container_name="Server")
    assert chosen.port == 7000


def test_a_container_that_is_not_there_is_refused(stack: cdk.Stack) -> None:
    with refused(SERVICE, "container_name", "one of Server (Stack/Task)", "'App'"):
        service_of(stack, task(stack, Server=[TCP]), container_name="App")


def test_a_container_without_which_the_task_lives_on_is_refused(stack: cdk.Stack) -> None:
    definition = task(stack, Log=[])
    definition.add_container("Server", image=IMAGE, essential=False, port_mappings=[TCP])
    allowed = "an essential container, or ECS keeps a task whose server has ended"
    with refused(SERVICE, "container_name", allowed, "Server"):
        service_of(stack, definition)


def test_a_service_of_another_app_cannot_be_registered_from_here(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    imported = ecs.FargateService.from_fargate_service_attributes(
        stack, "Old", service_name="old", cluster=balancer.cluster
    )
    with pytest.raises(ValueError, match=r"^service must be one made in this app, .*import the balancer with"):
        balancer.register(imported, service_name="old")  # type: ignore[arg-type]  # what mypy says too


def test_tasks_without_an_address_of_their_own_are_refused(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    definition = ecs.Ec2TaskDefinition(stack, "Task")
    definition.add_container("App", image=IMAGE, memory_limit_mib=128, port_mappings=[TCP])
    cluster = ecs.Cluster.from_cluster_attributes(
        stack, "Instances", cluster_name="existing", vpc=balancer.cluster.vpc, has_ec2_capacity=True
    )
    service = ecs.Ec2Service(stack, "Old", cluster=cluster, task_definition=definition, min_healthy_percent=100)
    allowed = "one with the network mode awsvpc, because calls go to the task's own address"
    with refused(REGISTERED, "task_definition", allowed, "bridge (Stack/Task)"):
        balancer.register(service, service_name="old")


def test_a_container_is_not_registered_under_two_names(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    service = old_service(stack, balancer.cluster)
    balancer.register(service, service_name="one")
    allowed = "a container whose label grpc-lb.service is two, or that has none yet"
    with refused(REGISTERED, "container_name", allowed, "App, where it is one"):
        balancer.register(service, service_name="two")
    balancer.register(service, service_name="one")


def test_labels_by_hand_are_not_overwritten(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    service = old_service(stack, balancer.cluster, **{"grpc-lb.enable": "false"})
    allowed = "a container whose label grpc-lb.enable is true, or that has none yet"
    with refused(REGISTERED, "container_name", allowed, "App, where it is false"):
        balancer.register(service, service_name="old")


def test_a_service_of_another_team_is_refused(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack, only_label="team=orders")
    service = old_service(stack, balancer.cluster, team="billing")
    allowed = "a container whose label team is orders, or that has none yet"
    with refused(REGISTERED, "container_name", allowed, "App, where it is billing"):
        balancer.register(service, service_name="old")


def test_two_services_that_ask_for_the_same_calls_are_refused(stack: cdk.Stack) -> None:
    """GIVEN that a route belongs to one service, THEN it shows at synth that the second one would get no call."""
    balancer = balancer_in(stack)
    balancer.add_service("Orders", image=IMAGE, port=1)
    with both_take("all calls", "Orders", "Billing"):
        balancer.add_service("Billing", image=IMAGE, port=1)
    balancer.add_service("Prices", image=IMAGE, port=1, grpc_services=["prices.v1.Prices"])


def test_two_services_that_ask_for_the_same_metadata_are_refused(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    balancer.add_service("Orders", image=IMAGE, port=1)
    acme = [Condition("x-tenant", Match.EXACT, "acme"), Condition("x-beta")]
    balancer.add_service("Beta", image=IMAGE, port=1, metadata=acme)
    with both_take("the calls to host * and gRPC service * with metadata x-beta, x-tenant=acme", "Beta", "Gamma"):
        balancer.add_service("Gamma", image=IMAGE, port=1, metadata=[*reversed(acme)])
    balancer.add_service("Delta", image=IMAGE, port=1, metadata=acme[:1])


def test_a_service_that_made_the_balancer_has_its_calls_too(stack: cdk.Stack) -> None:
    """GIVEN a service that came with a balancer of its own, THEN another one cannot ask for the same calls."""
    orders = GrpcBalancedService(stack, "Orders", image=IMAGE, port=1, cluster=existing_cluster(stack))
    with both_take("all calls", "Orders", "Billing"):
        orders.balancer.add_service("Billing", image=IMAGE, port=1)


def test_a_name_that_two_ids_become_is_refused(stack: cdk.Stack) -> None:
    """GIVEN services of one name share their calls, THEN a name that nobody chose is not shared by chance."""
    balancer = balancer_in(stack)
    balancer.add_service("Orders", image=IMAGE, port=1)
    allowed = "given where Stack/Balancer/Orders has the same name by its id (the same to share its calls)"
    with refused("GrpcBalancedService Stack/Orders", "service_name", allowed, "'orders'"):
        GrpcBalancedService(stack, "Orders", image=IMAGE, port=1, balancer=balancer)
    shared = GrpcBalancedService(stack, "Canary", image=IMAGE, port=1, balancer=balancer, service_name="orders")
    assert shared.service_name == "orders"


def test_a_service_that_the_balancer_would_pass_over_is_refused(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack, only_services=["orders-*", "billing"])
    allowed = "one that the balancer's only_services takes, orders-*, billing"
    with refused("GrpcBalancedService Stack/Balancer/Prices", "service_name", allowed, "'prices'"):
        balancer.add_service("Prices", image=IMAGE, port=1)
    balancer.add_service("OrdersApi", image=IMAGE, port=1)


@pytest.mark.parametrize(
    ("what", "here", "there"), [("region", "eu-west-1", "us-east-1"), ("account", "1" * 12, "2" * 12)]
)
def test_a_service_of_another_region_or_account_is_refused(stack: cdk.Stack, what: str, here: str, there: str) -> None:
    app = stack.node.scope
    assert isinstance(app, cdk.App)
    balancer = balancer_in(cdk.Stack(app, "Here", env=cdk.Environment(**{what: here})))
    elsewhere = cdk.Stack(app, "There", env=cdk.Environment(**{what: there}))
    service = "GrpcBalancedService There/RandomNumbers"
    with refused(service, "balancer", f"one of the service's {what}, {there}", f"Here/Balancer of {here}"):
        GrpcBalancedService(elsewhere, "RandomNumbers", image=IMAGE, port=1, balancer=balancer)


ELSEWHERE = "arn:aws:ecs:us-east-1:222222222222:cluster/shop"


@pytest.mark.parametrize(
    ("imported", "allowed", "got"),
    [
        (
            {"cluster_name": ELSEWHERE},
            "imported by its name alone, letters, digits, - and _ (Cluster.from_cluster_attributes(cluster_name=))",
            repr(ELSEWHERE),
        ),
        (
            {"cluster_name": "shop", "cluster_arn": ELSEWHERE},
            "of the stack's region, eu-west-1: the Lambda lists its tasks there, and gets their events",
            ELSEWHERE,
        ),
        (
            {"cluster_name": "shop", "cluster_arn": ELSEWHERE.replace("us-east-1", "eu-west-1")},
            "of the stack's account, 111111111111: the Lambda lists its tasks there, and gets their events",
            ELSEWHERE.replace("us-east-1", "eu-west-1"),
        ),
    ],
)
def test_a_cluster_that_the_lambda_cannot_list_is_refused(
    stack: cdk.Stack, imported: dict[str, Any], allowed: str, got: str
) -> None:
    app = stack.node.scope
    assert isinstance(app, cdk.App)
    here = cdk.Stack(app, "Here", env=cdk.Environment(region="eu-west-1", account="1" * 12))
    cluster = ecs.Cluster.from_cluster_attributes(here, "Cluster", vpc=existing_vpc(here), **imported)
    with refused("TargetSync Here/Balancer/TargetSync", "cluster", allowed, got):
        GrpcBalancer(here, "Balancer", cluster=cluster)


def test_a_refused_service_leaves_no_claim(stack: cdk.Stack) -> None:
    """GIVEN a service that is refused for another reason, THEN its name and its calls are free for the next try."""
    balancer = balancer_in(stack)
    before = len(resources(stack))
    with pytest.raises(ValueError, match="desired_count must be"):
        GrpcBalancedService(stack, "Orders", image=IMAGE, port=1, balancer=balancer, desired_count=-1)
    assert len(resources(stack)) == before
    balancer.add_service("Billing", image=IMAGE, port=1, capacity_provider_strategies=[provider("FARGATE", weight=1)])


def test_the_message_of_every_error_is_one_line(stack: cdk.Stack) -> None:
    makers: list[Callable[[], object]] = [
        lambda: GrpcBalancedService(stack, "A", image=IMAGE, port=0),
        lambda: balancer_in(stack, port=0),
    ]
    for make in makers:
        with pytest.raises(ValueError, match="must be") as caught:
            make()
        assert "\n" not in str(caught.value)
