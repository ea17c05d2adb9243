"""What typed props become and what someone writes by hand with the same meaning make the same document, byte by byte.

The labels of the construct are those of its template; both go through the real handler, with AWS's edge faked.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from hypothesis import HealthCheck as Check
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from cdk_grpc_lb import (
    Balancing,
    Condition,
    Deadline,
    Fault,
    GrpcBalancer,
    GrpcBalancerBase,
    HealthCheck,
    Limits,
    Match,
    Method,
    Mirror,
    OutlierDetection,
    Overrides,
    RateLimit,
    Retry,
    RetryStatus,
    RouteRule,
    Status,
    Tls,
    TlsVerify,
    TrafficPolicy,
    Web,
)
from cdk_grpc_lb.routing.policies import check_policy, check_routes
from cdk_grpc_lb.service.containers import labels_of
from cdk_grpc_lb.validation import Props
from grpc_lb_contract import Registration
from grpc_lb_contract.policy.overrides import OVERRIDES
from grpc_lb_contract.policy.traffic_policy import TABLE, PolicySetting
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.template import synthesise
from tests.cdk_grpc_lb.ways import IMAGE, existing_vpc
from tests.grpc_lb_contract import strategies
from tests.lambda_src.conftest import Sync
from tests.lambda_src.fake_aws import FakeAws

Labels = Mapping[str, str]
PORT = 50051
PLAIN = {"grpc-lb.enable": "true", "grpc-lb.service": "orders"}

# Of each case: the props of one or more ECS services of the service `orders`, and the labels of the same.
CASES: dict[str, tuple[list[dict[str, Any]], list[dict[str, str]]]] = {
    "nothing said": ([{}], [{}]),
    "hosts and gRPC services": (
        [{"hosts": ["b.internal", "*.a.internal"], "grpc_services": ["orders.v1.Orders"]}],
        [{"hosts": " *.A.internal , b.internal, b.internal", "grpc-services": "orders.v1.Orders"}],
    ),
    "metadata": (
        [{"metadata": [Condition("x-tenant", Match.PREFIX, "acme-"), Condition("x-canary")]}],
        [{"metadata": "x-canary, x-tenant^=acme-"}],
    ),
    "methods": (
        [{"methods": ["orders.v1.Orders/Get", "orders.v1.Orders/List"], "priority": 7}],
        [{"methods": "orders.v1.Orders/List,orders.v1.Orders/Get", "priority": "7"}],
    ),
    "routes": (
        [
            {
                "grpc_services": ["orders.v1.Orders"],
                "policy": TrafficPolicy(deadline=Deadline(default=timedelta(seconds=2))),
                "routes": [
                    RouteRule(
                        "slow",
                        methods=("orders.v1.Orders/Report",),
                        overrides=Overrides(deadline=Deadline(default=timedelta(minutes=1))),
                    ),
                    RouteRule("beta", metadata=(Condition("x-debug", Match.ABSENT),), priority=3),
                ],
            }
        ],
        [
            {
                "grpc-services": "orders.v1.Orders",
                "deadline.default": "2000ms",
                "routes.beta.metadata": "!x-debug",
                "routes.beta.priority": "3",
                "routes.slow.methods": "orders.v1.Orders/Report",
                "routes.slow.deadline.default": "60s",
            }
        ],
    ),
    "a canary": ([{}, {"weight": 5}], [{}, {"weight": " 5 "}]),
    "weights": ([{"weight": 1}, {"weight": 1}], [{"weight": "1"}, {"weight": "001"}]),
    "deadlines": (
        [{"policy": TrafficPolicy(deadline=Deadline(default=timedelta(seconds=90), max=timedelta(hours=1)))}],
        [{"deadline.default": "90s", "deadline.max": "60m"}],
    ),
    "retries": (
        [{"policy": TrafficPolicy(retry=Retry(on=frozenset({RetryStatus.UNAVAILABLE, RetryStatus.INTERNAL})))}],
        [{"retry.on": "unavailable, INTERNAL", "retry.max-retries": "3"}],
    ),
    "affinity": (
        [{"policy": TrafficPolicy(balancing=Balancing(method=Method.MAGLEV, metadata_key="x-user"))}],
        [{"balancing": "MAGLEV", "balancing.metadata-key": "x-user", "balancing.prefer-zone": "false"}],
    ),
    "what bears and ejects": (
        [
            {
                "policy": TrafficPolicy(
                    limits=Limits(requests=100),
                    outlier_detection=OutlierDetection(
                        consecutive_gateway_failures=5, base_ejection_time=timedelta(milliseconds=1500)
                    ),
                    health_check=HealthCheck(enabled=True, interval=timedelta(seconds=2)),
                )
            }
        ],
        [
            {
                "limits.requests": "0100",
                "outlier.consecutive-gateway-failures": "5",
                "outlier.base-ejection-time": "1500ms",
                "health-check": "true",
                "health-check.interval": "2000ms",
            }
        ],
    ),
    "browsers, TLS and copies": (
        [
            {
                "policy": TrafficPolicy(
                    mirror=Mirror(service="shadow", percent=12.5),
                    tls=Tls(enabled=True, server_name="orders.internal", verify=TlsVerify.SYSTEM),
                    web=Web(enabled=True, allow_origins=frozenset({"https://b.example", "https://a.example"})),
                )
            }
        ],
        [
            {
                "mirror.service": "shadow",
                "mirror.percent": "12.5",
                "tls": "true",
                "tls.server-name": "Orders.Internal",
                "tls.verify": "SYSTEM",
                "web": "true",
                "web.allow-origins": "https://b.example , https://A.example",
            }
        ],
    ),
    "a game day": (
        [
            {
                "policy": TrafficPolicy(
                    rate_limit=RateLimit(calls_per_second=10), fault=Fault(abort=Status.UNAVAILABLE, abort_percent=2.5)
                )
            }
        ],
        [{"rate-limit.calls-per-second": "10", "fault.abort": "unavailable", "fault.abort-percent": "2.5000"}],
    ),
}


def published(*services: Labels) -> Mapping[str, str]:
    """Every SSM parameter that the handler writes, where each of these is an ECS service with two tasks."""
    aws = FakeAws()
    numbers = count(1)
    for index, labels in enumerate(services):
        family = f"family-{index}"
        aws.define(family, labels=labels)
        for _ in range(2):
            aws.run(next(numbers), family=family, service=f"service-{index}")
    Sync(aws).minute()
    assert aws.parameters
    return aws.parameters


@pytest.fixture(scope="module")
def stack() -> cdk.Stack:
    return cdk.Stack(template_app(), "Stack")


@pytest.fixture(scope="module")
def cluster(stack: cdk.Stack) -> ecs.ICluster:
    vpc = existing_vpc(stack)
    return ecs.Cluster.from_cluster_attributes(stack, "Cluster", cluster_name="existing", vpc=vpc)


@pytest.fixture(scope="module")
def group(stack: cdk.Stack) -> ec2.ISecurityGroup:
    return ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-0a1b2c3d4e5f60718", mutable=False)


def balancer_of(scope: cdk.Stack, name: str, cluster: ecs.ICluster, group: ec2.ISecurityGroup) -> GrpcBalancerBase:
    """One with no claims on calls yet."""
    return GrpcBalancer.from_attributes(
        scope, name, host="b", cluster=cluster, load_balancer_security_group=group, task_security_group=group
    )


@pytest.fixture(scope="module")
def of_template() -> Mapping[str, Sequence[Labels]]:
    """The labels in the synthesised template, by case."""
    stack = cdk.Stack(template_app(), "Stack")
    cluster = ecs.Cluster.from_cluster_attributes(stack, "Cluster", cluster_name="existing", vpc=existing_vpc(stack))
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-0a1b2c3d4e5f60718", mutable=False)
    made = {
        case: [
            balancer_of(stack, f"Case{number}Balancer{index}", cluster, group).add_service(
                "Orders", image=IMAGE, port=PORT, service_name="orders", **props
            )
            for index, props in enumerate(services)
        ]
        for number, (case, (services, _)) in enumerate(CASES.items())
    }
    template = synthesise(stack)
    definitions = template.of_type("AWS::ECS::TaskDefinition")
    found: dict[str, list[Labels]] = {}
    for case, services in made.items():
        for service in services:
            resource = service.task_definition.node.default_child
            assert isinstance(resource, ecs.CfnTaskDefinition)
            (container,) = definitions[stack.get_logical_id(resource)]["ContainerDefinitions"]
            found.setdefault(case, []).append(container["DockerLabels"])
    return found


@pytest.mark.parametrize("case", CASES)
def test_props_and_labels_by_hand_make_the_same_document(
    case: str, of_template: Mapping[str, Sequence[Labels]]
) -> None:
    """GIVEN a synthesised service and a hand-labelled one, WHEN both are published, THEN the bytes are equal."""
    by_hand = [PLAIN | {f"grpc-lb.{name}": text for name, text in said.items()} for said in CASES[case][1]]
    assert published(*of_template[case]) == published(*by_hand)
    assert (published(*by_hand) == published(*([PLAIN] * len(by_hand)))) == (case == "nothing said")


_numbers = count()


# Without shrinking, which would take minutes: every example makes constructs.
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[Check.function_scoped_fixture, Check.too_slow],
)
@given(asked=strategies.registrations, seed=st.randoms(use_true_random=False))
def test_whatever_is_asked_for_makes_the_document_of_its_labels(
    stack: cdk.Stack, cluster: ecs.ICluster, group: ec2.ISecurityGroup, asked: Registration, seed: random.Random
) -> None:
    """GIVEN any policy, weight, metadata and routes, WHEN a service is registered so, and labelled so by hand in other
    words, THEN the documents are the same.
    """
    try:
        check_policy(Props("any", "any"), asked.policy, of=asked.service)
        check_routes(Props("any", "any"), asked)
    except ValueError:
        assume(False)
    number = next(_numbers)
    definition = ecs.FargateTaskDefinition(stack, f"Task{number}")
    container = definition.add_container("App", image=IMAGE, port_mappings=[ecs.PortMapping(container_port=PORT)])
    service = ecs.FargateService(
        stack, f"Service{number}", cluster=cluster, task_definition=definition, min_healthy_percent=100
    )
    balancer_of(stack, f"Balancer{number}", cluster, group).register(
        service,
        service_name=asked.service,
        hosts=asked.hosts,
        grpc_services=asked.grpc_services or None,
        methods=asked.methods or None,
        metadata=asked.metadata,
        priority=asked.priority,
        routes=asked.rules,
        weight=asked.weight,
        policy=asked.policy,
    )
    by_hand = in_other_words(asked, seed)
    assert published(labels_of(container)) == published(by_hand), by_hand


def in_other_words(asked: Registration, seed: random.Random) -> Labels:
    """The same meaning: lists in another order, with spaces and repeated, defaults spelt out, times in milliseconds."""
    labels = {"grpc-lb.enable": " TRUE ", "grpc-lb.service": asked.service}
    labels |= lists_of(asked, "grpc-lb.", seed)
    for rule in asked.rules:
        about = f"grpc-lb.routes.{rule.name}."
        labels |= lists_of(rule, about, seed)
        for row in OVERRIDES:
            value = getattr(getattr(rule.overrides, row.part), row.name)
            if value != row.default:
                labels[about + row.setting.label] = written(row, value)
    if asked.weight is not None:
        labels["grpc-lb.weight"] = f" {asked.weight:04} "
    for row in TABLE:
        value = getattr(getattr(asked.policy, row.part), row.name)
        if value is not None and value != frozenset():
            labels[row.label] = written(row, value)
    return labels


def lists_of(said: Registration | RouteRule, prefix: str, seed: random.Random) -> Labels:
    lists = {
        "hosts": [seed.choice((host, host.upper())) for host in said.hosts or ()],
        "grpc-services": list(said.grpc_services or ()),
        "methods": list(said.methods or ()),
        "metadata": [str(condition) for condition in said.metadata or ()],
    }
    labels = {}
    for name, values in lists.items():
        if values:
            seed.shuffle(values)
            labels[prefix + name] = " , ".join([*values, seed.choice(values)])
        elif isinstance(said, RouteRule) and getattr(said, name.replace("-", "_")) == ():
            labels[prefix + name] = " "
    if said.priority is not None:
        labels[f"{prefix}priority"] = f" {said.priority:07} "
    return labels


def written(row: PolicySetting, value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{value // timedelta(milliseconds=1)}ms"
    return f" {row.setting.kind.write(value)} "
