"""What props may hold, checked at synth, in sentences that name the prop and the construct."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import IConstruct

from cdk_grpc_lb.paths import path_of
from cdk_grpc_lb.tokens import is_unresolved

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
_GIB = 1024
FARGATE_SIZES: Mapping[int, tuple[int, ...]] = {
    256: (512, 1 * _GIB, 2 * _GIB),
    512: tuple(range(1 * _GIB, 4 * _GIB + 1, _GIB)),
    1024: tuple(range(2 * _GIB, 8 * _GIB + 1, _GIB)),
    2048: tuple(range(4 * _GIB, 16 * _GIB + 1, _GIB)),
    4096: tuple(range(8 * _GIB, 30 * _GIB + 1, _GIB)),
    8192: tuple(range(16 * _GIB, 60 * _GIB + 1, 4 * _GIB)),
    16384: tuple(range(32 * _GIB, 120 * _GIB + 1, 8 * _GIB)),
}

# "the max value is 120 seconds": https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
MAX_STOP_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Props:
    """The props of one construct. Each method raises ValueError for a value that is known at synth and not allowed."""

    construct: str
    path: str

    def error(self, what: str, allowed: str, got: object, *, prop: str | None = None) -> ValueError:
        """`what` is the prop, or a part of it."""
        named = what if prop is None else prop
        return ValueError(f"{what} must be {allowed}, got {got} (prop {named} of {self.construct} {self.path})")

    def sentence(self, prop: str, sentence: str) -> ValueError:
        """For what is wrong between constructs."""
        return ValueError(f"{sentence} (prop {prop} of {self.construct} {self.path})")

    @contextmanager
    def naming(self, prop: str) -> Iterator[None]:
        """Name the prop in an error of a check that does not know of props."""
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{error} (prop {prop} of {self.construct} {self.path})") from None

    def conflict(self, first: str, second: str, fix: str) -> ValueError:
        return ValueError(
            f"{first} and {second} must not be given both: {fix} "
            f"(props {first} and {second} of {self.construct} {self.path})"
        )

    def whole_number(self, prop: str, value: object, lowest: int, highest: int) -> None:
        if is_unresolved(value):
            return
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            number = "" if isinstance(value, int) and not isinstance(value, bool) else "a whole number "
            raise self.error(prop, f"{number}{lowest}..{highest}", repr(value))

    def percent(self, prop: str, value: float) -> None:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise self.error(prop, "a number, 0..100", repr(value))
        # jsii cannot be asked about NaN.
        if math.isnan(value) or (not is_unresolved(value) and not 0 <= value <= 100):
            raise self.error(prop, "0..100", value)

    def seconds(self, prop: str, value: cdk.Duration, lowest: int, highest: int) -> float | None:
        """How many they are; None for a value that is not known at synth."""
        if value.is_unresolved():
            return None
        milliseconds = value.to_milliseconds()
        if not lowest * 1000 <= milliseconds <= highest * 1000 or milliseconds % 1000:
            raise self.error(prop, f"{lowest} to {highest} whole seconds", value.to_human_string())
        return milliseconds / 1000

    def fargate_size(self, cpu: int, memory_limit_mib: int) -> None:
        """Fargate takes fixed pairs of CPU units and memory only."""
        if is_unresolved(cpu):
            return
        if cpu not in FARGATE_SIZES:
            raise self.error("cpu", f"one of {', '.join(map(str, FARGATE_SIZES))} CPU units", repr(cpu))
        sizes = FARGATE_SIZES[cpu]
        if not is_unresolved(memory_limit_mib) and memory_limit_mib not in sizes:
            allowed = ", ".join(map(str, sizes)) if len(sizes) <= 4 else f"{sizes[0]}, {sizes[1]} … {sizes[-1]}"
            raise self.error("memory_limit_mib", f"{allowed} MiB where cpu is {cpu}", repr(memory_limit_mib))


# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateCluster.html
_CLUSTER_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


def vpc_of(props: Props, cluster: ecs.ICluster) -> ec2.IVpc:
    """The cluster's VPC. Raises ValueError where the cluster was imported without it."""
    try:
        return cluster.vpc
    except RuntimeError:  # what the CDK's own error comes as
        raise props.error(
            "cluster",
            "one that knows its VPC (import it with Cluster.from_cluster_attributes and its vpc)",
            cluster.node.path,
        ) from None


def check_cluster(props: Props, scope: IConstruct, cluster: ecs.ICluster) -> None:
    """Raise ValueError for a cluster that this stack cannot list, or that gets no events of its tasks."""
    if isinstance(cluster, ecs.Cluster):
        return  # made by this app, and in use in another region or account the CDK refuses it
    name = cluster.cluster_name
    if not is_unresolved(name) and _CLUSTER_NAME.fullmatch(name) is None:
        allowed = (
            "imported by its name alone, letters, digits, - and _ (Cluster.from_cluster_attributes(cluster_name=))"
        )
        raise props.error("cluster", allowed, repr(name))
    why = "the Lambda lists its tasks there, and gets their events"
    check_region(props, "cluster", scope, cluster.cluster_arn, why=why, with_account=True)


def check_region(props: Props, prop: str, scope: IConstruct, arn: str, *, why: str, with_account: bool = False) -> None:
    """Raise ValueError for a resource that is known at synth to be of another region (or account) than the stack."""
    parts = arn.split(":")
    if is_unresolved(arn) or len(parts) < 6:
        return
    stack = cdk.Stack.of(scope)
    places = [("region", parts[3], stack.region), *([("account", parts[4], stack.account)] if with_account else [])]
    for what, its, own in places:
        if its and its != own and not is_unresolved(own):
            raise props.error(prop, f"of the stack's {what}, {own}: {why}", arn)


def same_cluster(first: ecs.ICluster, second: ecs.ICluster) -> bool:
    """Whether two clusters are known at synth to be one: two names that are not known may still be the same."""
    return path_of(first) == path_of(second) or first.cluster_name == second.cluster_name


def surely_other(first: ecs.ICluster, second: ecs.ICluster) -> bool:
    """Whether two clusters are known at synth to be different ones: two imports may still name the same."""
    if path_of(first) == path_of(second):
        return False
    names = (first.cluster_name, second.cluster_name)
    if any(is_unresolved(name) for name in names):
        return isinstance(first, ecs.Cluster) and isinstance(second, ecs.Cluster)
    return names[0] != names[1]
