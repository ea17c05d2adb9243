"""The addresses of a VPC, all of which may call."""

from __future__ import annotations

from collections.abc import Iterator

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2


def peers_of(vpc: ec2.IVpc) -> list[ec2.IPeer]:
    """The address range that a VPC was made with, and those that constructs below it add, such as a CfnVPCCidrBlock.

    Raises RuntimeError where the VPC was imported without its range.
    """
    return [ec2.Peer.ipv4(block) for block in (vpc.vpc_cidr_block, *_secondary_blocks(vpc))]


def _secondary_blocks(vpc: ec2.IVpc) -> Iterator[str]:
    stack = cdk.Stack.of(vpc)
    wanted = stack.resolve(vpc.vpc_id)
    # Of the whole stack: the low-level construct is as often made beside the VPC as below it.
    for construct in stack.node.find_all():
        if not isinstance(construct, ec2.CfnVPCCidrBlock) or construct.cidr_block is None:
            continue
        if stack.resolve(construct.vpc_id) == wanted:
            yield construct.cidr_block
