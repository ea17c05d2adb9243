"""Props that no deployment could take fail at synth; the error names prop, value, what is allowed and the fix."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb import GrpcBalancedService, GrpcBalancer, TargetSync

SERVICE = "of GrpcBalancedService RandomNumbers"
BALANCER = "of GrpcBalancer Balancer"

SERVICE_MISUSE: list[tuple[dict[str, Any], str]] = [
    ({"port": 0}, f"port must be 1..65535, got 0 (prop port {SERVICE})"),
    ({"port": 65_536}, f"port must be 1..65535, got 65536 (prop port {SERVICE})"),
    ({"port": "50051"}, f"port must be 1..65535, got '50051' (prop port {SERVICE})"),
    ({"port": True}, f"port must be 1..65535, got True (prop port {SERVICE})"),
    ({"desired_count": -1}, f"desired_count must be 0..5000, got -1 (prop desired_count {SERVICE})"),
    ({"desired_count": 1.5}, f"desired_count must be 0..5000, got 1.5 (prop desired_count {SERVICE})"),
    (
        {"cpu": 300},
        f"cpu must be one of 256, 512, 1024, 2048, 4096, 8192, 16384 CPU units, got 300 (prop cpu {SERVICE})",
    ),
    (
        {"memory_limit_mib": 256},
        f"memory_limit_mib must be 512, 1024, 2048 MiB where cpu is 256, got 256 (prop memory_limit_mib {SERVICE})",
    ),
    (
        {"cpu": 4096, "memory_limit_mib": 8000},
        "memory_limit_mib must be 8192, 9216 … 30720 MiB where cpu is 4096, got 8000 "
        f"(prop memory_limit_mib {SERVICE})",
    ),
    (
        {"service_name": "Random_Numbers"},
        "service must be 1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit, "
        f"got 'Random_Numbers' (prop service_name {SERVICE})",
    ),
    (
        {"service_name": ""},
        "service must be 1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit, "
        f"got '' (prop service_name {SERVICE})",
    ),
    (
        {"hosts": ["rng.internal:50051"]},
        "each of hosts must be a host name without a port, *.a-domain, or *, got 'rng.internal:50051' "
        f"(prop hosts {SERVICE})",
    ),
    (
        {"hosts": "rng.internal"},
        "hosts must be a list that names at least one (leave it out for all), got 'rng.internal' "
        f"(prop hosts {SERVICE})",
    ),
    (
        {"hosts": []},
        f"hosts must be a list that names at least one (leave it out for all), got [] (prop hosts {SERVICE})",
    ),
    (
        {"grpc_services": ["/rng.v1.RandomNumber/"]},
        "each of grpc-services must be a full gRPC service name such as rng.v1.RandomNumber, or *, "
        f"got '/rng.v1.RandomNumber/' (prop grpc_services {SERVICE})",
    ),
    (
        {"grpc_services": []},
        "grpc_services must be a list that names at least one (leave it out for all), got [] "
        f"(prop grpc_services {SERVICE})",
    ),
    (
        {"drain_time": cdk.Duration.seconds(106)},
        f"drain_time must be 0 to 105 whole seconds, got 1 minute 46 seconds (prop drain_time {SERVICE})",
    ),
    (
        {"drain_time": cdk.Duration.millis(2500)},
        f"drain_time must be 0 to 105 whole seconds, got 2 seconds 500 millis (prop drain_time {SERVICE})",
    ),
    (
        {"environment": {"TOKEN": "a"}, "secrets": {"TOKEN": None}},
        "environment TOKEN and secrets TOKEN must not be given both: a variable has one value "
        f"(props environment TOKEN and secrets TOKEN {SERVICE})",
    ),
]

BALANCER_MISUSE: list[tuple[dict[str, Any], str]] = [
    ({"desired_count": 0}, f"desired_count must be 1..1000, got 0 (prop desired_count {BALANCER})"),
    ({"port": 70_000}, f"port must be 1..65535, got 70000 (prop port {BALANCER})"),
    (
        {"cpu": 256, "memory_limit_mib": 4096},
        f"memory_limit_mib must be 512, 1024, 2048 MiB where cpu is 256, got 4096 (prop memory_limit_mib {BALANCER})",
    ),
    (
        {"drain_time": cdk.Duration.minutes(3)},
        f"drain_time must be 0 to 120 whole seconds, got 3 minutes (prop drain_time {BALANCER})",
    ),
    (
        {"drain_delay": cdk.Duration.seconds(60), "drain_time": cdk.Duration.seconds(50)},
        "drain_time must be at most 105 seconds together with drain_delay, because Fargate kills 120 seconds after "
        f"SIGTERM, got 110 seconds (prop drain_time {BALANCER})",
    ),
]


@pytest.mark.parametrize(("props", "message"), SERVICE_MISUSE, ids=lambda value: repr(value)[:40])
def test_a_service_refuses(stack: cdk.Stack, props: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GrpcBalancedService(stack, "RandomNumbers", **{"image": IMAGE, "port": 50051, **props})


@pytest.mark.parametrize(("props", "message"), BALANCER_MISUSE, ids=lambda value: repr(value)[:40])
def test_a_balancer_refuses(stack: cdk.Stack, props: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GrpcBalancer(stack, "Balancer", cluster=existing_cluster(stack), **props)


def existing_vpc(stack: cdk.Stack, cidr: str | None = "10.0.0.0/16") -> ec2.IVpc:
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id="vpc-0a1b2c3d4e5f60718",
        vpc_cidr_block=cidr,
        availability_zones=["us-east-1a"],
        private_subnet_ids=["subnet-0a1b2c3d4e5f60718"],
    )


def existing_cluster(stack: cdk.Stack, cidr: str | None = "10.0.0.0/16") -> ecs.ICluster:
    vpc = existing_vpc(stack, cidr)
    return ecs.Cluster.from_cluster_attributes(stack, "Existing", cluster_name="existing", vpc=vpc)


def vpc_and_cluster(stack: cdk.Stack) -> dict[str, Any]:
    cluster = existing_cluster(stack)
    return {"vpc": cluster.vpc, "cluster": cluster}


def vpc_and_balancer(stack: cdk.Stack) -> dict[str, Any]:
    cluster = existing_cluster(stack)
    return {"vpc": cluster.vpc, "balancer": GrpcBalancer(stack, "Balancer", cluster=cluster)}


def two_named_clusters(stack: cdk.Stack) -> dict[str, Any]:
    cluster = existing_cluster(stack)
    other = ecs.Cluster.from_cluster_attributes(stack, "Other", cluster_name="other", vpc=cluster.vpc)
    return {"cluster": other, "balancer": GrpcBalancer(stack, "Balancer", cluster=cluster)}


def two_own_clusters(stack: cdk.Stack) -> dict[str, Any]:
    vpc = existing_vpc(stack)
    own = ecs.Cluster(stack, "Existing", vpc=vpc)
    return {"cluster": ecs.Cluster(stack, "Other", vpc=vpc), "balancer": GrpcBalancer(stack, "Balancer", cluster=own)}


def cluster_without_vpc(stack: cdk.Stack) -> dict[str, Any]:
    arn = "arn:aws:ecs:us-east-1:111122223333:cluster/other"
    return {"cluster": ecs.Cluster.from_cluster_arn(stack, "Other", arn)}


def unknown_address_range(stack: cdk.Stack) -> dict[str, Any]:
    return {"cluster": existing_cluster(stack, cidr=None)}


OTHER_CLUSTER = (
    "cluster must be one of the balancer's, Stack/Existing (see GrpcBalancer.add_cluster), got Stack/Other "
    f"(prop cluster {SERVICE})"
)


@pytest.mark.parametrize(
    ("props", "message"),
    [
        (
            vpc_and_cluster,
            "vpc and cluster must not be given both: a cluster has its VPC; leave vpc out "
            f"(props vpc and cluster {SERVICE})",
        ),
        (
            vpc_and_balancer,
            "vpc and balancer must not be given both: a service runs in the VPC of its balancer; leave vpc out "
            f"(props vpc and balancer {SERVICE})",
        ),
        (two_named_clusters, OTHER_CLUSTER),
        (two_own_clusters, OTHER_CLUSTER),
        (
            cluster_without_vpc,
            "cluster must be one that knows its VPC (import it with Cluster.from_cluster_attributes and its vpc), "
            f"got Stack/Other (prop cluster {SERVICE})",
        ),
        (
            unknown_address_range,
            "open_listener must be False where the address range of the VPC is not known (or import the VPC with its "
            "vpc_cidr_block), got True (prop open_listener of GrpcBalancer Balancer)",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_service_refuses_parts_that_contradict_each_other(
    stack: cdk.Stack, props: Callable[[cdk.Stack], dict[str, Any]], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GrpcBalancedService(stack, "RandomNumbers", image=IMAGE, port=50051, **props(stack))


def test_the_balancers_own_cluster_may_be_given_too(stack: cdk.Stack) -> None:
    cluster = existing_cluster(stack)
    balancer = GrpcBalancer(stack, "Balancer", cluster=cluster)
    same = ecs.Cluster.from_cluster_attributes(stack, "Again", cluster_name="existing", vpc=cluster.vpc)
    service = GrpcBalancedService(stack, "Service", image=IMAGE, port=50051, cluster=same, balancer=balancer)
    assert service.balancer is balancer


@pytest.mark.parametrize("prefix", ["grpc-lb/a", "/grpc-lb/a/"])
def test_a_target_sync_refuses_a_prefix_that_no_parameter_can_have(stack: cdk.Stack, prefix: str) -> None:
    message = (
        "parameter_prefix must be a path that starts with / and does not end with one, "
        f"got {prefix!r} (prop parameter_prefix of TargetSync Sync)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TargetSync(stack, "Sync", cluster=existing_cluster(stack), parameter_prefix=prefix)


def test_a_refused_service_leaves_nothing_behind_in_its_stack(stack: cdk.Stack) -> None:
    with pytest.raises(ValueError, match="port must be"):
        GrpcBalancedService(stack, "RandomNumbers", image=IMAGE, port=0)
    assert not [child for child in stack.node.find_all() if cdk.CfnResource.is_cfn_resource(child)]


IMAGE = ecs.ContainerImage.from_registry("example/rng")
