"""Who may reach whom, in rules that keep stacks from referring to each other both ways: such cannot be deployed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from aws_cdk import aws_ec2 as ec2


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
    """Allow the caller, which has these groups, to connect. The rule is made in the stack of the one called unless told
    otherwise.
    """
    if not in_callers_stack or not groups:
        called.connections.allow_from(caller, tcp(port), description)
        return
    for group in groups:
        called.add_ingress_rule(group, tcp(port), description, remote_rule=True)
        if not group.allow_all_outbound:
            group.add_egress_rule(called, tcp(port), description)
