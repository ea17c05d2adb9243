"""Whether tasks reach what they start with: their image, their logs, their settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import IConstruct

from cdk_grpc_lb.network.endpoints import made_endpoints
from cdk_grpc_lb.network.placement import Placement
from cdk_grpc_lb.network.reachability import ids_of, paths_of
from cdk_grpc_lb.network.security_groups import AppRules
from cdk_grpc_lb.network.subnets import address_ranges
from cdk_grpc_lb.paths import path_of
from cdk_grpc_lb.tokens import is_unresolved

_HTTPS = 443
_MEANS = "tasks cannot pull their image or write their logs"


class InternetAccess:
    """Warns at synth, when all endpoints and rules of the app are known, of tasks that cannot start.

    :param construct: The construct that makes the tasks, and carries the warnings.
    :param needs: The names of the endpoints that replace the internet.
    :param groups: The tasks' security groups.
    :param images: The names of the tasks' images, as far as they are known.
    :param what: What the warning calls the tasks.
    """

    def __init__(
        self,
        construct: IConstruct,
        placement: Placement,
        *,
        needs: Callable[[], Sequence[str]],
        groups: Sequence[ec2.ISecurityGroup],
        images: Callable[[], Sequence[str]],
        what: str,
    ) -> None:
        self._construct = construct
        self._vpc = placement.vpc
        self._placement = placement
        self._needs = needs
        self._groups = groups
        self._images = images
        self._what = what

    def validate(self) -> list[str]:
        annotations = cdk.Annotations.of(self._construct)
        for id_, problem in self._problems():
            annotations.add_warning_v2(f"cdk-grpc-lb:{id_}", problem)
        return []

    def _problems(self) -> Iterator[tuple[str, str]]:
        shut = _shut_in(self._vpc, self._placement)
        if shut is not None:
            yield from self._without_internet(*shut)
        elif not self._let_all_out() and not AppRules(self._construct).let_out_to_internet(
            ids_of(self._groups), _HTTPS
        ):
            yield "closedSecurityGroup", self._kept_in("any address", "ec2.Peer.any_ipv4()")

    def _without_internet(self, where: str, fix: str) -> Iterator[tuple[str, str]]:
        made = made_endpoints(self._construct, self._vpc)
        needs = self._needs()
        missing = [name for name in needs if name not in made]
        place = f"{self._what} run in {where}"
        if missing:
            yield (
                "noWayOut",
                f"{place}, and this app has no VPC endpoint for {', '.join(missing)} in {self._vpc.node.path}: "
                f"{_MEANS}. {fix}, or acknowledge this warning if the endpoints come from elsewhere",
            )
        elsewhere = [image for image in self._images() if _is_of_another_registry(image)]
        if elsewhere and not missing:
            yield (
                "imageOutOfReach",
                f"{place}, and endpoints lead to no registry but ECR: {', '.join(elsewhere)} cannot be pulled. Use an "
                "image of ECR, such as one of its pull-through cache, or acknowledge this warning if the registry is "
                "inside your network",
            )
        endpoints = [endpoint for name in needs for endpoint in made.get(name, ()) if endpoint.is_interface]
        if not endpoints:
            return
        rules, ranges = AppRules(self._construct), address_ranges(self._vpc)
        tasks = ids_of(self._groups)
        unnamed = [each.path for each in endpoints if not each.has_private_dns]
        if unnamed:
            yield (
                "endpointUnused",
                f"{place}, and {', '.join(unnamed)} has no private DNS name: tasks look for AWS elsewhere. Leave out "
                "private_dns_enabled=False",
            )
        known = [endpoint for endpoint in endpoints if endpoint.known_groups]
        shut = [each.path for each in known if not rules.let_in(each.known_groups, tasks, _HTTPS, ranges)]
        if shut:
            yield (
                "closedSecurityGroup",
                f"{place}, and no rule of this app lets them into {', '.join(shut)} on port {_HTTPS}: {_MEANS}. Let "
                "them: endpoint.connections.allow_default_port_from(service), or acknowledge this warning if the rule "
                "comes from elsewhere",
            )
        if not self._let_all_out():
            far = [each.path for each in known if not rules.let_out(tasks, each.known_groups, _HTTPS, ranges)]
            if far:
                yield "closedSecurityGroup", self._kept_in(", ".join(far), "endpoint")

    def _let_all_out(self) -> bool:
        return any(group.allow_all_outbound for group in self._groups)

    def _kept_in(self, to: str, peer: str) -> str:
        return (
            f"{self._what} cannot connect to {to} on port {_HTTPS}: no rule of this app lets them out of "
            f"{paths_of(self._groups)}, and {_MEANS}. Let them: group.connections.allow_to({peer}, "
            f"ec2.Port.tcp({_HTTPS})), or acknowledge this warning if the rule comes from elsewhere"
        )


def _shut_in(vpc: ec2.IVpc, placement: Placement) -> tuple[str, str] | None:
    """Where the tasks are, that leads nowhere, and what would help; None where there is a way out."""
    subnets = placement.subnets.subnets
    isolated = {path_of(subnet) for subnet in vpc.isolated_subnets}
    by_endpoints = "create them with GrpcBalancer.add_vpc_endpoints()"
    if any(path_of(subnet) in isolated for subnet in subnets):
        return "isolated subnets, which have no way out", f"{by_endpoints}, or use subnets with a NAT gateway"
    if placement.subnets.has_public and not placement.assign_public_ip:
        return (
            "public subnets without public addresses, which have no way out",
            "leave out assign_public_ip, or create the endpoints with GrpcBalancer.add_vpc_endpoints()",
        )
    without = _without_routes(subnets)
    if without:
        return (
            f"subnets without a route to the internet, {', '.join(without)}",
            f"give the VPC a NAT gateway (a gateway, for public subnets), or {by_endpoints}",
        )
    return None


def _without_routes(subnets: Sequence[ec2.ISubnet]) -> list[str]:
    """Those that this app makes without any route but the VPC's own."""
    doubtful = [
        subnet
        for subnet in subnets
        if isinstance(subnet, ec2.Subnet) and not any(isinstance(each, ec2.CfnRoute) for each in subnet.node.children)
    ]
    if not doubtful:
        return []
    made = doubtful[0].node.root.node.find_all()
    routed = {each.route_table_id for each in made if isinstance(each, ec2.CfnRoute)}
    return [path_of(subnet) for subnet in doubtful if subnet.route_table.route_table_id not in routed]


def _is_of_another_registry(image: str) -> bool:
    return not is_unresolved(image) and ".dkr.ecr." not in image and ".dkr-ecr." not in image
