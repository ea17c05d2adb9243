"""What every error of the constructs says, and the parts that misuse is tried with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import IConstruct

from cdk_grpc_lb import GrpcBalancer
from tests.cdk_grpc_lb.ways import existing_vpc

SERVICE = "GrpcBalancedService Stack/RandomNumbers"
BALANCER = "GrpcBalancer Stack/Balancer"


@contextmanager
def refused(construct: str, prop: str, allowed: str, got: str) -> Iterator[None]:
    """An error that names the prop, what it may be, what it is, and the construct."""
    sentence = f"{prop} must be {allowed}, got {got} (prop {prop} of {construct})"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        yield


@contextmanager
def contradiction(construct: str, first: str, second: str, fix: str) -> Iterator[None]:
    """An error that names the two props that must not be given both, and what to do."""
    sentence = f"{first} and {second} must not be given both: {fix} (props {first} and {second} of {construct})"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        yield


def resources(construct: IConstruct) -> list[IConstruct]:
    return [child for child in construct.node.find_all() if cdk.CfnResource.is_cfn_resource(child)]


def provider(name: str, *, base: int | None = None, weight: int | None = None) -> ecs.CapacityProviderStrategy:
    return ecs.CapacityProviderStrategy(capacity_provider=name, base=base, weight=weight)


def existing_cluster(stack: cdk.Stack) -> ecs.ICluster:
    return ecs.Cluster.from_cluster_attributes(stack, "Existing", cluster_name="existing", vpc=existing_vpc(stack))


def balancer_in(stack: cdk.Stack, **props: Any) -> GrpcBalancer:
    return GrpcBalancer(stack, "Balancer", cluster=existing_cluster(stack), **props)


def isolated_vpc(stack: cdk.Stack) -> ec2.IVpc:
    """One without a way out, from which no task could pull its image."""
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Isolated",
        vpc_id="vpc-0a1b2c3d4e5f60718",
        vpc_cidr_block="10.0.0.0/16",
        availability_zones=["us-east-1a"],
        isolated_subnet_ids=["subnet-0a1b2c3d4e5f60718"],
    )


def name(value: object) -> str:
    """A case's name in pytest's output: the same in each process, though the number that stands for a token is not."""
    return re.sub(r"-1\.888\d*e\+289", "TOKEN", repr(value))[:40]
