"""Who has to reach whom, and whether the security groups at both ends let them: looked at once all rules are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import IConstruct

from cdk_grpc_lb.network.security_groups import AppRules
from cdk_grpc_lb.paths import path_of
from cdk_grpc_lb.synth_checks import check_at_synth
from cdk_grpc_lb.tokens import is_unresolved

_OF_CONSTRUCT: WeakKeyDictionary[IConstruct, list[Arrow]] = WeakKeyDictionary()
_BY_HAND = "or add the rule where the group is made and acknowledge this warning"


@dataclass(frozen=True, slots=True)
class Arrow:
    """Connections that the flow needs. Callers without groups are addresses, of which nothing goes out here."""

    what: str
    callers: Sequence[ec2.ISecurityGroup]
    called: Sequence[ec2.ISecurityGroup]
    port: int

    @property
    def is_surely_open(self) -> bool:
        """Groups of this app get the rules that are added to them; imported ones may refuse any."""
        return _takes_rules(self.called) and (not self.callers or self._leave)

    def problems(self, rules: AppRules) -> Iterator[str]:
        callers, called = ids_of(self.callers), ids_of(self.called)
        port = "its port" if is_unresolved(self.port) else f"port {self.port}"
        if not _takes_rules(self.called) and not rules.let_in(called, callers, self.port):
            from_whom = paths_of(self.callers) if self.callers else "them"
            yield (
                f"{self.what} will not arrive: no rule of this app lets {from_whom} into {paths_of(self.called)} on "
                f"{port}. A security group that is imported with mutable=False takes no rules: import it without "
                f"that, {_BY_HAND}"
            )
        if self.callers and not self._leave and not rules.let_out(callers, called, self.port):
            yield (
                f"{self.what} will not leave: no rule of this app lets them out of {paths_of(self.callers)} on "
                f"{port}. A security group that is imported with allow_all_outbound=False and mutable=False takes "
                f"no rules: import it without mutable=False, {_BY_HAND}"
            )

    @property
    def _leave(self) -> bool:
        return _takes_rules(self.callers) or any(each.allow_all_outbound for each in self.callers)


def watch_arrow(
    construct: IConstruct,
    what: str,
    callers: Sequence[ec2.ISecurityGroup],
    called: Sequence[ec2.ISecurityGroup],
    port: int,
) -> None:
    """Warn at the construct, at synth, where a security group of either end will refuse these connections."""
    arrows = _OF_CONSTRUCT.get(construct)
    if arrows is None:
        arrows = _OF_CONSTRUCT[construct] = []
        check_at_synth(construct, _Arrows(construct, arrows).validate)
    arrows.append(Arrow(what, callers, called, port))


@dataclass(frozen=True, slots=True)
class Called:
    """What takes connections, and where."""

    service: ecs.BaseService
    groups: Sequence[ec2.ISecurityGroup]
    port: int


def watch_direct_calls(construct: IConstruct, caller: ec2.IConnectable, services: Sequence[Called]) -> None:
    """Warn at the construct, at synth, where a client that learns of the services' tasks may call none of them."""
    check_at_synth(construct, _DirectCalls(construct, caller, services).validate)


class _DirectCalls:
    def __init__(self, construct: IConstruct, caller: ec2.IConnectable, services: Sequence[Called]) -> None:
        self._construct = construct
        self._caller = caller
        self._services = services

    def validate(self) -> list[str]:
        groups = self._caller.connections.security_groups
        if not groups or not self._services:
            return []  # addresses, or services of other apps: of neither is known who lets them in
        rules = AppRules(self._construct)
        if not any(rules.let_in(ids_of(each.groups), ids_of(groups), each.port) for each in self._services):
            cdk.Annotations.of(self._construct).add_warning_v2(
                "cdk-grpc-lb:closedSecurityGroup",
                f"xDS tells {paths_of(groups)} of tasks that it cannot call: no rule of this app lets it into any of "
                "the balancer's services. Use balancer.connect(client, to=[service]), which does, or "
                "service.connections.allow_default_port_from(client)",
            )
        return []


def watch_callers(construct: IConstruct, group: ec2.ISecurityGroup, port: int) -> None:
    """Warn at the construct, at synth, where the group lets nobody in."""
    check_at_synth(construct, _Callers(construct, group, port).validate)


class _Callers:
    def __init__(self, construct: IConstruct, group: ec2.ISecurityGroup, port: int) -> None:
        self._construct = construct
        self._group = group
        self._port = port

    def validate(self) -> list[str]:
        if not AppRules(self._construct).let_anyone_in(ids_of([self._group]), self._port):
            cdk.Annotations.of(self._construct).add_warning_v2(
                "cdk-grpc-lb:nobodyMayCall",
                f"nobody may call the balancer: no rule of this app lets anyone into {self._group.node.path}. Name the "
                "callers, balancer.allow_from(client), or acknowledge this warning if other apps do "
                "(GrpcBalancer.from_attributes)",
            )
        return []


class _Arrows:
    def __init__(self, construct: IConstruct, arrows: list[Arrow]) -> None:
        self._construct = construct
        self._arrows = arrows

    def validate(self) -> list[str]:
        doubtful = [arrow for arrow in self._arrows if not arrow.is_surely_open]
        # Most apps import no group, and need no look at all of their rules.
        rules = AppRules(self._construct) if doubtful else None
        for arrow in doubtful:
            for problem in arrow.problems(rules) if rules is not None else ():
                cdk.Annotations.of(self._construct).add_warning_v2("cdk-grpc-lb:closedSecurityGroup", problem)
        return []


def ids_of(groups: Sequence[ec2.ISecurityGroup]) -> list[str]:
    return [group.security_group_id for group in groups]


def paths_of(groups: Sequence[ec2.ISecurityGroup]) -> str:
    return " or ".join(path_of(group) for group in groups)


def _takes_rules(groups: Sequence[ec2.ISecurityGroup]) -> bool:
    return any(isinstance(group, ec2.SecurityGroup) for group in groups)
