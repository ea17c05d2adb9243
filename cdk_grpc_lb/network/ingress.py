"""Who may reach whom, in rules that keep stacks from referring to each other both ways: such cannot be deployed."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_ec2 as ec2


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
        called.connections.allow_from(caller, ec2.Port.tcp(port), description)
        return
    for group in groups:
        called.add_ingress_rule(group, ec2.Port.tcp(port), description, remote_rule=True)
        if not group.allow_all_outbound:
            group.add_egress_rule(called, ec2.Port.tcp(port), description)
