"""What a user mistypes in a call: each ends in a sentence, none in an error of jsii or of Python, or in silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

import cdk_grpc_lb
from cdk_grpc_lb import GrpcBalancer
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.validation.cases import balancer_in, existing_cluster
from tests.cdk_grpc_lb.ways import IMAGE

# What a type checker would say to these calls is not what is tried here.
ours: Any = cdk_grpc_lb


@pytest.fixture(scope="module")
def balancer() -> GrpcBalancer:
    """One for all calls that are refused before they make anything of it."""
    return balancer_in(cdk.Stack(template_app(), "Stack"))


NAMES: list[tuple[Callable[[Any, Any], object], str]] = [
    (
        lambda stack, _: ours.GrpcBalancer(stack, "B", desired_cout=2),
        "GrpcBalancer got an unexpected prop 'desired_cout': did",
    ),
    (lambda stack, _: ours.GrpcBalancer(stack, "B"), "GrpcBalancer must be given cluster, got none"),
    (lambda stack, _: ours.GrpcBalancedService("O", image=IMAGE, port=1), "GrpcBalancedService must be given id"),
    (
        lambda stack, _: ours.GrpcBalancedService("stack", "O", image=IMAGE, port=1),
        "scope must be a construct, such as the",
    ),
    (lambda stack, _: ours.GrpcBalancedService(stack, 3, image=IMAGE), "id must be a string that is not empty, got 3"),
    (
        lambda stack, _: ours.GrpcBalancedService(stack, "O", IMAGE),
        r"takes its props by name \(image=, port=, .* without one",
    ),
    (
        lambda stack, _: ours.TargetSync(stack, "T", prefix="/a"),
        r"TargetSync got an unexpected prop 'prefix', it has .*cluster",
    ),
    (lambda _, lb: lb.add_dashboard(name="x"), r"GrpcBalancer\.add_dashboard got an unexpected prop 'name', it has"),
    (lambda _, lb: lb.add_alarms(tpoic=None), "unexpected prop 'tpoic': did you mean topic"),
    (lambda _, lb: lb.add_service("O", image=IMAGE, prot=1), "unexpected prop 'prot': did you mean port"),
    (lambda _, lb: lb.add_service(), "add_service must be given id, got none"),
    (
        lambda _, lb: lb.allow_from(ec2.Peer.any_ipv4(), port=5),
        r"allow_from got an unexpected prop 'port', it has other",
    ),
    (lambda _, lb: lb.auto_scale_task_count(max=4), "unexpected prop 'max', it has max_capacity"),
    (
        lambda stack, _: ours.GrpcBalancer.from_attributes(stack, "I", hots="h"),
        "unexpected prop 'hots': did you mean host",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), NAMES, ids=[sentence[:50] for _, sentence in NAMES])
def test_a_name_that_there_is_not_or_that_is_missing_is_told(
    balancer: GrpcBalancer, call: Callable[[Any, Any], object], sentence: str
) -> None:
    with pytest.raises(TypeError, match=sentence):
        call(cdk.Stack.of(balancer), balancer)


def function_without_vpc(stack: Construct) -> lambda_.Function:
    code = lambda_.Code.from_inline("x")
    return lambda_.Function(stack, "Function", runtime=lambda_.Runtime.PYTHON_3_13, handler="a", code=code)


@dataclass
class Fleet:
    """A balancer with two services."""

    stack: cdk.Stack
    balancer: Any
    orders: Any
    client: Any

    def connect(self, **props: Any) -> object:
        return self.balancer.connect(**{"client": self.client, "to": [self.orders], **props})


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """One for all calls that are refused before they make anything of it."""
    stack = cdk.Stack(template_app(), "Stack")
    balancer = balancer_in(stack)
    orders = balancer.add_service("Orders", image=IMAGE, port=1)
    return Fleet(stack, balancer, orders, balancer.add_service("Client", image=IMAGE, port=1, hosts=["client"]))


VALUES: list[tuple[Callable[[Any, Any], object], str]] = [
    (lambda _, lb: lb.allow_from(None), r"other must be an ec2\.IConnectable: .*, got None"),
    (lambda _, lb: lb.allow_from([ec2.Peer.any_ipv4()]), r"other must be an ec2\.IConnectable"),
    (lambda stack, lb: lb.allow_from(function_without_vpc(stack)), r"other must be in a VPC, .*, got Stack/Function"),
    (lambda _, lb: lb.allow_xds_from("x"), r"other must be an ec2\.IConnectable: .*, got 'x'"),
    (lambda _, lb: lb.add_cluster("C", "x"), r"cluster must be an ecs\.ICluster, got 'x'"),
    (lambda _, lb: lb.add_dashboard(dashboard_name=5), "dashboard_name must be a string, got 5"),
    (lambda _, lb: lb.add_dashboard(dashboard_name="a b"), "dashboard_name must be 1 to 255 of .*, got 'a b'"),
    (lambda _, lb: (lb.add_alarms(), lb.add_alarms()), "add_alarms must be called once, got a second call"),
    (
        lambda stack, _: ours.GrpcDashboard(stack, "D", balancer="x"),
        r"balancer must be a GrpcBalancer of this app .*, got 'x'",
    ),
    (lambda stack, _: ours.GrpcBalancer(stack, "B", cluster=None), r"cluster must be an ecs\.ICluster, got None"),
    (
        lambda stack, lb: ours.GrpcBalancer(stack, "E", cluster=lb.cluster, only_services=[1]),
        "only_services must be a list",
    ),
    (
        lambda stack, lb: ours.GrpcBalancer(stack, "F", cluster=lb.cluster, access_log=ours.AccessLog.sampled("5")),
        "percent must be a",
    ),
    (
        lambda stack, lb: ours.GrpcBalancer(stack, "G", cluster=lb.cluster, tracing=ours.Tracing(sampling_percent="5")),
        "a number, 0",
    ),
    (
        lambda stack, lb: ours.GrpcBalancer(stack, "H", cluster=lb.cluster, tracing=ours.Tracing(collector="x")),
        "must be a Collector",
    ),
    (lambda *_: ours.TraefikLabels(entry_points=5), "entry_points must be a list of names, got 5"),
    (
        lambda stack, lb: ours.GrpcBalancer.from_attributes(
            stack,
            "I",
            host="h",
            cluster=lb.cluster,
            load_balancer_security_group="sg-1",
            task_security_group="sg-2",
        ),
        r"load_balancer_security_group must be an ec2\.ISecurityGroup, got 'sg-1' .* of GrpcBalancer Stack/I",
    ),
]
# Those of services that are made first.
OF_SERVICES: list[tuple[Callable[[Fleet], object], str]] = [
    (lambda it: ours.GrpcAlarms(it.stack, "A", balancer=it.orders), "balancer must be a Grpc"),
    (lambda it: it.connect(to="orders"), "to must be a list of services, got 'orders'"),
    (lambda it: it.connect(to=["orders"]), "to must be a list of services, of this library or of ECS, got 'orders'"),
    (lambda it: it.connect(client="x"), "client must be a service or a task definition, got 'x'"),
    (lambda it: it.connect(source="x"), "source must be a security group or .*, got 'x'"),
    (lambda it: it.connect(fallback_address=5), "fallback_address must be host:port, got 5"),
    (
        lambda it: it.orders.auto_scale_task_count(max_capacity=4, calls_per_target="3"),
        "calls_per_target must be a number, got '3'",
    ),
    (
        lambda it: it.orders.auto_scale_task_count(max_capacity=4, calls_per_target=3, calls_metric="x"),
        r"calls_metric must be a cloudwatch\.IMetric, got 'x'",
    ),
    (
        lambda it: it.balancer.register(ecs.FargateTaskDefinition(it.stack, "Task"), service_name="o"),
        "service must be an ECS service, got Stack/Task, which is a FargateTaskDefinition",
    ),
    (
        lambda it: it.balancer.register(it.orders, service_name="o"),
        r"service must be an ECS service: the attribute service of it \(it has a balancer already\), got",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), VALUES, ids=[sentence[:50] for _, sentence in VALUES])
def test_a_value_of_another_type_is_told(
    balancer: GrpcBalancer, call: Callable[[Any, Any], object], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        call(cdk.Stack.of(balancer), balancer)


@pytest.mark.parametrize(("call", "sentence"), OF_SERVICES, ids=[sentence[:50] for _, sentence in OF_SERVICES])
def test_so_is_one_beside_services(fleet: Fleet, call: Callable[[Fleet], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call(fleet)


@pytest.mark.parametrize(
    ("prefix", "sentence"),
    [
        ("grpc", "a path that starts with / and does not end with one"),
        ("/grpc/", "a path that starts with / and does not end with one"),
        ("/a b", "of A-Z, a-z, 0-9, ., - and _ between single slashes"),
        ("/aws/grpc", "one that does not begin with aws or ssm"),
        ("/a" * 14, "of at most 13 levels"),
    ],
)
def test_a_prefix_that_ssm_refuses_is_told(stack: cdk.Stack, prefix: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^parameter_prefix must be {sentence}"):
        ours.TargetSync(stack, "Sync", cluster=existing_cluster(stack), parameter_prefix=prefix)


def test_a_description_that_ec2_refuses_is_mended(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    balancer.allow_from(ec2.Peer.ipv4("10.9.0.0/16"), "Größe des Büros")
    group = balancer.load_balancer_security_group.node.default_child
    assert isinstance(group, ec2.CfnSecurityGroup)
    assert "Gr__e des B_ros" in str(stack.resolve(group.security_group_ingress))
