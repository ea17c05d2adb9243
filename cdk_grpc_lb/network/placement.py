"""Where tasks run."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_ec2 as ec2

from cdk_grpc_lb.network.subnets import subnets_of
from cdk_grpc_lb.validation import Props


@dataclass(frozen=True, slots=True)
class Placement:
    """Subnets of tasks, and whether each task gets a public address."""

    vpc: ec2.IVpc
    selection: ec2.SubnetSelection | None
    subnets: ec2.SelectedSubnets
    assign_public_ip: bool


def placement_of(
    props: Props, vpc: ec2.IVpc, selection: ec2.SubnetSelection | None, *, assign_public_ip: bool | None
) -> Placement:
    """By default, tasks get public addresses exactly in public subnets: there, it is their only way out.

    Raises ValueError where the VPC has no such subnets.
    """
    subnets = subnets_of(props, "task_subnets", vpc, selection)
    public_ip = assign_public_ip if assign_public_ip is not None else subnets.has_public
    return Placement(vpc, selection, subnets, public_ip)
