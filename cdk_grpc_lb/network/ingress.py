"""Who may reach whom, in rules that keep stacks from referring to each other both ways: such cannot be deployed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import IConstruct

from cdk_grpc_lb.paths import in_one_stack
from cdk_grpc_lb.tokens import is_token


@cache
def tcp(port: int) -> ec2.Port:
    """The port as rules have it, asked of the CDK's Node once."""
    return ec2.Port.tcp(port)


def let_in(
    called: ec2.ISecurityGroup,
    caller: ec2.IConnectable,
    groups: Sequence[ec2.ISecurityGroup],
    port: int,
    description: str,
    *,
    in_callers_stack: bool,
) -> None:
    """Allow the caller, which has these groups, to connect. Where stacks differ, all rules are in the stack of the one
    called, or with `in_callers_stack` in those of the groups.
    """
    if all(in_one_stack(group, called) for group in groups):
        called.connections.allow_from(caller, tcp(port), description)
        return
    for group in groups:
        called.add_ingress_rule(group, tcp(port), description, remote_rule=in_callers_stack)
        if not group.allow_all_outbound:
            group.add_egress_rule(called, tcp(port), description, remote_rule=not in_callers_stack)


def refers_to_stack_of(
    group: ec2.ISecurityGroup, *, user: ec2.IConnectable, here: IConstruct, clusters: Iterable[ecs.ICluster]
) -> bool:
    """Whether the stack of `here` refers to another one, the group's, whatever rule is made: the group's user is here,
    or what is here runs in a cluster or a VPC of that stack.
    """
    if in_one_stack(group, here):
        return False
    is_used_here = hasattr(user, "node") and in_one_stack(user, here)  # type: ignore[arg-type]  # a construct then
    return is_used_here or any(in_one_stack(group, made) for made in _made_for(clusters))


def _made_for(clusters: Iterable[ecs.ICluster]) -> Iterator[IConstruct]:
    """These clusters and their VPCs, but for imported ones whose names and ids are known."""
    for cluster in clusters:
        if is_token(cluster.cluster_name):
            yield cluster
        try:
            vpc = cluster.vpc
        except RuntimeError:  # what the CDK's own error comes as
            continue
        if is_token(vpc.vpc_id):
            yield vpc
