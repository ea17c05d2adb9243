"""Where tasks run, and whether they reach what they start with: their image, their logs, their settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
import jsii
from aws_cdk import aws_ec2 as ec2
from constructs import Construct, IConstruct, IValidation

from cdk_grpc_lb.network.endpoints import missing_endpoints
from cdk_grpc_lb.network.subnets import subnets_of
from cdk_grpc_lb.validation import Props


@dataclass(frozen=True, slots=True)
class Placement:
    """Subnets of tasks, and whether each task gets a public address."""

    subnets: ec2.SelectedSubnets
    assign_public_ip: bool


def placement_of(
    props: Props, vpc: ec2.IVpc, selection: ec2.SubnetSelection | None, *, assign_public_ip: bool | None
) -> Placement:
    """By default, tasks get public addresses exactly in public subnets: there, it is their only way out.

    Raises ValueError where the VPC has no such subnets.
    """
    subnets = subnets_of(props, "task_subnets", vpc, selection)
    return Placement(subnets, assign_public_ip if assign_public_ip is not None else subnets.has_public)


def check_way_out(
    construct: Construct, vpc: ec2.IVpc, placement: Placement, *, needs: Sequence[str], what: str
) -> None:
    """Warn at synth, when all endpoints of the app are known, of tasks that cannot start.

    :param needs: The names of the endpoints that stand in for the internet.
    :param what: Whose tasks they are, as the warning says it.
    """
    if _is_isolated(vpc, placement.subnets):
        where = "isolated subnets, which have no way out"
        fix = "create them with GrpcBalancer.add_vpc_endpoints(), or use subnets with a NAT gateway"
    elif placement.subnets.has_public and not placement.assign_public_ip:
        where = "public subnets without public addresses, which have no way out"
        fix = "leave out assign_public_ip, or create the endpoints with GrpcBalancer.add_vpc_endpoints()"
    else:
        return
    construct.node.add_validation(_WayOut(construct, vpc, tuple(needs), f"{what} run in {where}", fix))


@jsii.implements(IValidation)
class _WayOut:
    def __init__(self, construct: IConstruct, vpc: ec2.IVpc, needs: tuple[str, ...], where: str, fix: str) -> None:
        self._construct = construct
        self._vpc = vpc
        self._needs = needs
        self._where = where
        self._fix = fix

    def validate(self) -> list[str]:
        missing = missing_endpoints(self._construct, self._vpc, self._needs)
        if missing:
            cdk.Annotations.of(self._construct).add_warning_v2(
                "cdk-grpc-lb:noWayOut",
                f"{self._where}, and this app has no VPC endpoint for {', '.join(missing)} in {self._vpc.node.path}: "
                f"tasks cannot pull their image or write their logs. {self._fix}, or acknowledge this warning if the "
                "endpoints come from elsewhere",
            )
        return []


def _is_isolated(vpc: ec2.IVpc, subnets: ec2.SelectedSubnets) -> bool:
    isolated = {subnet.node.path for subnet in vpc.isolated_subnets}
    return any(subnet.node.path in isolated for subnet in subnets.subnets)
