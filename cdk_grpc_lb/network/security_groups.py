"""Whom the security groups of an app let in and out: the rules as CloudFormation will get them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import IConstruct

from cdk_grpc_lb.tokens import is_unresolved

_INBOUND, _OUTBOUND = "source", "destination"
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-securitygroupingress.html
_TCP = ("tcp", "6", "-1")
_EVERYWHERE = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule of a group, in one direction. References are resolved as its stack has them."""

    stack: cdk.Stack
    said: Mapping[str, Any]
    direction: str

    def has(self, port: int) -> bool:
        protocol = str(self.said.get("ipProtocol"))
        first, last = self.said.get("fromPort"), self.said.get("toPort")
        if protocol not in _TCP:
            return False
        if protocol == "-1" or not isinstance(first, (int, float)) or not isinstance(last, (int, float)):
            return True  # all of them, or a reference, of which nothing is known
        return first == -1 or is_unresolved(port) or first <= port <= last

    def is_for(self, groups: Iterable[str], ranges: Sequence[str]) -> bool:
        """Whether it is for one of the groups, or for addresses that they may have."""
        group = self.said.get(f"{self.direction}SecurityGroupId")
        if group is not None:
            return any(group in (each, self.stack.resolve(each)) for each in groups)
        block = self.said.get("cidrIp", self.said.get("cidrIpv6"))
        # A prefix list, or a reference: what is in it is not known here, so it may be meant.
        return not isinstance(block, str) or is_unresolved(block) or _meets(block, ranges)


class AppRules:
    """The rules of every security group, as far as this app makes them."""

    def __init__(self, scope: IConstruct) -> None:
        self._rules: dict[str, list[_Rule]] = {}
        for construct in scope.node.root.node.find_all():
            for group, rule in _rules(construct):
                self._rules.setdefault(group, []).append(rule)

    def let_in(self, called: Iterable[str], callers: Sequence[str], port: int, ranges: Sequence[str] = ()) -> bool:
        """Whether one of the groups called takes connections from one of the callers."""
        return any(rule.has(port) and rule.is_for(callers, ranges) for rule in self._of(called, _INBOUND))

    def let_out(self, callers: Iterable[str], called: Sequence[str], port: int, ranges: Sequence[str] = ()) -> bool:
        """Whether one of the callers' groups lets connections out to one of those called."""
        return any(rule.has(port) and rule.is_for(called, ranges) for rule in self._of(callers, _OUTBOUND))

    def let_anyone_in(self, called: Iterable[str], port: int) -> bool:
        return any(rule.has(port) for rule in self._of(called, _INBOUND))

    def let_out_to_internet(self, callers: Iterable[str], port: int) -> bool:
        """Whether there is a rule that is for more than other groups: for addresses, or a list of them."""
        return any(
            rule.has(port) and f"{_OUTBOUND}SecurityGroupId" not in rule.said for rule in self._of(callers, _OUTBOUND)
        )

    def _of(self, groups: Iterable[str], direction: str) -> Iterator[_Rule]:
        for group in groups:
            yield from (rule for rule in self._rules.get(group, ()) if rule.direction == direction)


def _rules(construct: IConstruct) -> Iterator[tuple[str, _Rule]]:
    """The rules that a construct makes, each with the id of the group that has it."""
    if isinstance(construct, ec2.CfnSecurityGroup):
        stack = cdk.Stack.of(construct)
        for direction, listed in (
            (_INBOUND, construct.security_group_ingress),
            (_OUTBOUND, construct.security_group_egress),
        ):
            for said in stack.resolve(listed) or ():
                yield construct.attr_group_id, _Rule(stack, _as_template_has_it(said), direction)
    elif isinstance(construct, (ec2.CfnSecurityGroupIngress, ec2.CfnSecurityGroupEgress)):
        stack = cdk.Stack.of(construct)
        direction = _INBOUND if isinstance(construct, ec2.CfnSecurityGroupIngress) else _OUTBOUND
        said = construct._cfn_properties
        # The group itself as others refer to it: a reference resolves to something else in each stack.
        yield str(said.get("groupId")), _Rule(stack, said, direction)


def _as_template_has_it(said: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name[:1].lower() + name[1:]: value for name, value in said.items()}


def _meets(block: str, ranges: Sequence[str]) -> bool:
    known = [each for each in ranges if not is_unresolved(each)]
    if block in _EVERYWHERE or not known or len(known) < len(ranges):
        return True
    try:
        network = ipaddress.ip_network(block, strict=False)
        others = [ipaddress.ip_network(each, strict=False) for each in known]
    except ValueError:  # EC2 will say what is wrong with it
        return True
    return any(network.version == other.version and network.overlaps(other) for other in others)
