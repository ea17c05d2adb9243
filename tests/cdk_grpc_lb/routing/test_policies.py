"""What a policy says at synth: by itself, and beside those of the other ECS services of its logical service."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb import (
    Balancing,
    Condition,
    Deadline,
    GrpcBalancer,
    GrpcBalancerBase,
    Match,
    Method,
    Mirror,
    RateLimit,
    Retry,
    TrafficPolicy,
)
from cdk_grpc_lb.service.containers import labels_of
from tests.cdk_grpc_lb.template import synthesise
from tests.cdk_grpc_lb.validation.cases import balancer_in, existing_cluster, refused
from tests.cdk_grpc_lb.ways import IMAGE
from tests.docs.pages import DOCS, code_blocks, section

QUICK = TrafficPolicy(deadline=Deadline(default=timedelta(seconds=2)))
SLOW = TrafficPolicy(deadline=Deadline(default=timedelta(seconds=9)), rate_limit=RateLimit(calls_per_second=5))
ZONAL = TrafficPolicy(balancing=Balancing(prefer_zone=True))


def add(balancer: GrpcBalancerBase, name: str, **props: Any) -> None:
    """An ECS service that is one of those of `orders`."""
    balancer.add_service(name, image=IMAGE, port=50051, **{"service_name": "orders", **props})


def warnings(stack: cdk.Stack) -> list[tuple[str, str]]:
    """Which construct is warned of what, without the CDK's `[ack: ...]`."""
    metadata = json.loads((synthesise(stack).directory / f"{stack.artifact_id}.metadata.json").read_text())
    return [
        (path, entry["data"].partition(" [ack: ")[0])
        for path, entries in metadata.items()
        for entry in entries
        if entry["type"] == "aws:cdk:warning"
    ]


def test_a_canary_beside_its_service_says_so_in_its_labels(stack: cdk.Stack) -> None:
    """GIVEN 5 % for a new ECS service of the same name and policy, THEN nothing is warned of."""
    balancer = balancer_in(stack)
    add(balancer, "Orders", policy=QUICK)
    add(balancer, "OrdersCanary", policy=QUICK, weight=5)
    definitions = synthesise(stack).of_type("AWS::ECS::TaskDefinition")
    labels = [
        {
            label: text
            for label, text in container["DockerLabels"].items()
            if label not in ("grpc-lb.port", "cdk-grpc-lb.registered-with")
        }
        for name, definition in sorted(definitions.items())
        for container in definition["ContainerDefinitions"]
        if "Orders" in name
    ]
    same = {"grpc-lb.enable": "true", "grpc-lb.service": "orders", "grpc-lb.deadline.default": "2s"}
    assert sorted(labels, key=len) == [same, same | {"grpc-lb.weight": "5"}]
    assert warnings(stack) == []


def test_what_the_page_writes_in_python_has_the_labels_that_it_says(stack: cdk.Stack) -> None:
    """GIVEN the page's example, WHEN it is run, THEN the containers have the labels beside it."""
    in_python, by_hand = code_blocks(section((DOCS / "labels.md").read_text(), "## Traffic policy"))[:2]
    balancer = balancer_in(stack)
    exec(in_python, {"balancer": balancer, "image": IMAGE, "new_image": IMAGE})  # noqa: S102 - a page of ours
    expected = {"grpc-lb.enable": "true", "grpc-lb.port": "50051", "grpc-lb.service": "orders"}
    expected |= json.loads(f"{{{by_hand}}}")
    orders, canary = (
        dict(labels_of(balancer.node.find_child(name).container))  # type: ignore[attr-defined]  # a service
        for name in ("Orders", "OrdersCanary")
    )
    # The constructs' own, beside what the page writes by hand.
    assert orders.pop("cdk-grpc-lb.registered-with") == canary.pop("cdk-grpc-lb.registered-with")
    assert orders == expected
    assert canary == expected | {"grpc-lb.weight": "5"}


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        (
            {"policy": QUICK},
            {"policy": SLOW},
            "its policy differs from that of Stack/Balancer/One in deadline.default, rate-limit.calls-per-second: both "
            "back the service orders, and the policy of the one with the most tasks applies to all calls: give both "
            "the same",
        ),
        (
            {"policy": QUICK},
            {},
            "its policy differs from that of Stack/Balancer/One in deadline.default: both back the service orders, and "
            "the policy of the one with the most tasks applies to all calls: give both the same",
        ),
        (
            {"hosts": ["orders.internal"]},
            {},
            "its routes differ from those of Stack/Balancer/One: both back the service orders, which takes the calls "
            "of both and gives each its share of all: give both the same hosts, grpc_services, methods, metadata, "
            "priority and routes",
        ),
        (
            {"weight": 1},
            {"service_name": "others", "hosts": ["others.internal"]},
            "weight 1 has no effect: no other ECS service of this app backs the service orders, so it takes all "
            "calls: give both the same service_name, or leave weight out",
        ),
        (
            {"policy": TrafficPolicy(mirror=Mirror(service="shadow"))},
            {"service_name": "others", "hosts": ["others.internal"]},
            "mirror.service shadow is none of the services that this app has behind the balancer, orders, others: "
            "without such a service nothing is copied",
        ),
    ],
    ids=["policies", "policy and none", "routes", "weight alone", "mirror"],
)
def test_what_deploys_but_is_hardly_meant_is_warned_of(
    stack: cdk.Stack, first: dict[str, Any], second: dict[str, Any], sentence: str
) -> None:
    balancer = balancer_in(stack)
    add(balancer, "One", **first)
    add(balancer, "Two", **second)
    construct = "/Stack/Balancer/Two" if second.get("service_name") is None else "/Stack/Balancer/One"
    assert warnings(stack) == [(construct, sentence)]


def test_zones_beside_weights_are_warned_of(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    add(balancer, "One", policy=ZONAL)
    add(balancer, "Two", policy=ZONAL, weight=5)
    sentence = "weights of the service orders come before balancing.prefer_zone: calls do not stay in their zone"
    assert warnings(stack) == [(f"/Stack/Balancer/{name}", sentence) for name in ("One", "Two")]


def test_weights_that_are_all_nothing_fail_at_synth(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    add(balancer, "One", weight=0)
    add(balancer, "Two", weight=0)
    sentence = (
        "at least one weight of the service orders must be above 0, got 0 for each of Stack/Balancer/One, "
        "Stack/Balancer/Two"
    )
    with pytest.raises(RuntimeError, match=sentence):
        cdk.App.of(stack).synth()  # type: ignore[union-attr]  # it is in an app


def test_copies_go_to_another_service_of_the_balancer(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    mirrored = TrafficPolicy(mirror=Mirror(service="shadow", percent=10))
    add(balancer, "Orders", policy=mirrored)
    add(balancer, "Shadow", service_name="shadow", hosts=["shadow.internal"])
    assert warnings(stack) == []
    with pytest.raises(ValueError, match=r"^mirror.service must be another service than its own, got 'shadow'"):
        add(balancer, "Again", service_name="shadow", policy=mirrored)


def test_a_canary_of_an_imported_balancer_may_stand_alone(stack: cdk.Stack) -> None:
    """GIVEN a balancer of another app, THEN what its canary stands beside is likely of another app too."""
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-0a1b2c3d4e5f60718", mutable=False)
    balancer = GrpcBalancer.from_attributes(
        stack,
        "Balancer",
        host="b",
        cluster=existing_cluster(stack),
        load_balancer_security_group=group,
        task_security_group=group,
    )
    add(balancer, "Canary", weight=5)
    assert warnings(stack) == []


def test_a_registered_service_takes_a_policy(stack: cdk.Stack) -> None:
    """GIVEN a service that exists, WHEN it is registered with a policy, THEN its labels say it."""
    from tests.cdk_grpc_lb.validation.test_parts import old_service

    balancer = balancer_in(stack)
    service = old_service(stack, balancer.cluster)
    balancer.register(
        service,
        service_name="old",
        metadata=[Condition("x-tenant", Match.PREFIX, "acme-")],
        policy=TrafficPolicy(balancing=Balancing(method=Method.RING_HASH, metadata_key="x-user")),
    )
    labels = synthesise(stack).container("App")["DockerLabels"]
    assert labels["grpc-lb.metadata"] == "x-tenant^=acme-"
    assert (labels["grpc-lb.balancing"], labels["grpc-lb.balancing.metadata-key"]) == ("ring-hash", "x-user")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Deadline(default=cdk.Duration.seconds(5)),  # type: ignore[arg-type]  # what mypy says too
            r"default must be a time 1ms..24h such as .* \(in Python datetime.timedelta\(seconds=5\)\), got .*Duration",
        ),
        (
            lambda: Balancing(method="maglev"),  # type: ignore[arg-type]
            r"method must be one of .* \(in Python Method.ROUND_ROBIN\), got 'maglev'",
        ),
        (
            lambda: Retry(on=["UNAVAILABLE"]),  # type: ignore[list-item]
            r"on must be .* \(in Python \[RetryStatus.UNAVAILABLE\]\), got \['UNAVAILABLE'\]",
        ),
        (
            lambda: TrafficPolicy(retry=Deadline()),  # type: ignore[arg-type]
            r"^TrafficPolicy.retry must be a Retry, got Deadline\(",
        ),
        (
            lambda: TrafficPolicy(health_check=ecs.HealthCheck(command=["probe"])),  # type: ignore[arg-type]
            r"^TrafficPolicy.health_check must be a HealthCheck, got HealthCheck\(.*\) of aws_cdk.aws_ecs$",
        ),
        (
            lambda: Balancing(method=Method.MAGLEV, metadata_key=cdk.Aws.REGION),
            r"metadata_key must be a metadata key: 1 to 64 of a-z, 0-9, - _ and ., got '\${Token\[",
        ),
        (
            lambda: RateLimit(calls_per_second=int(cdk.Token.as_number({"Ref": "A"}))),
            r"calls_per_second must be a whole number 1..1000000, got -1888",
        ),
    ],
    ids=["a Duration", "a text", "a list", "another part", "a namesake of ECS", "a token", "a token for a number"],
)
def test_a_part_says_how_python_writes_what_it_takes(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


def test_metadata_is_known_at_synth(stack: cdk.Stack) -> None:
    tenant = Condition("x-tenant", Match.EXACT, cdk.Aws.REGION)
    service = "GrpcBalancedService Stack/Balancer/RandomNumbers"
    with refused(service, "metadata", "conditions whose values are known at synth", repr(str(tenant))):
        balancer_in(stack).add_service("RandomNumbers", image=IMAGE, port=1, metadata=[tenant])
