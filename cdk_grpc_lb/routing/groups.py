"""What ECS services of this app that back one logical service say about it, each for itself, and all together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from constructs import IConstruct

from cdk_grpc_lb.paths import path_of
from cdk_grpc_lb.routing.labels import LabelledCalls
from grpc_lb_contract.policy.traffic_policy import TABLE


@dataclass(frozen=True, slots=True)
class ServiceGroup:
    """An ECS service of this app, and what it asks for."""

    construct: IConstruct
    labelled: LabelledCalls

    @property
    def path(self) -> str:
        return path_of(self.construct)


@dataclass(frozen=True, slots=True)
class Finding:
    """What deploys, but hardly does what the author meant."""

    group: ServiceGroup
    id: str
    text: str


class Validation:
    """Looks at a balancer's groups once all are known: at synth."""

    def __init__(self, groups: Mapping[str, ServiceGroup], *, knows_all: bool) -> None:
        self._groups = groups
        self._knows_all = knows_all

    def validate(self) -> list[str]:
        groups = list(self._groups.values())
        for finding in findings(groups, knows_all=self._knows_all):
            annotations = cdk.Annotations.of(finding.group.construct)
            annotations.add_warning_v2(f"cdk-grpc-lb:{finding.id}", finding.text)
        return list(errors(groups))


def errors(groups: Iterable[ServiceGroup]) -> Iterator[str]:
    """What no deployment could apply."""
    for name, of_name in _by_service(groups).items():
        if len(of_name) > 1 and all(group.labelled.weight == 0 for group in of_name):
            paths = ", ".join(group.path for group in of_name)
            yield f"at least one weight of the service {name} must be above 0, got 0 for each of {paths}"


def findings(groups: Iterable[ServiceGroup], *, knows_all: bool) -> Iterator[Finding]:
    """`knows_all` says that other apps hardly have more groups: the balancer is of this one."""
    by_service = _by_service(groups)
    for of_name in by_service.values():
        first, *others = of_name
        for group in others:
            yield from _other_policy(first, group)
            yield from _other_routes(first, group)
        if knows_all and not others:
            yield from _weight_alone(first)
        if any(group.labelled.weight is not None for group in of_name):
            yield from _zones_beside_weights(of_name)
        if knows_all:
            yield from _copies_to_nobody(of_name, by_service)


def _other_policy(first: ServiceGroup, group: ServiceGroup) -> Iterator[Finding]:
    one, other = first.labelled.policy, group.labelled.policy
    differing = sorted(row.setting.label for row in TABLE if row.value_in(one) != row.value_in(other))
    if differing:
        yield Finding(
            group,
            "policiesDiffer",
            f"its policy differs from that of {first.path} in {', '.join(differing)}: both back the service "
            f"{group.labelled.service_name}, and the policy of the one with the most tasks applies to all calls: give "
            "both the same",
        )


def _other_routes(first: ServiceGroup, group: ServiceGroup) -> Iterator[Finding]:
    # None are known where a host, gRPC service or method is a token.
    if first.labelled.routes and group.labelled.routes and set(first.labelled.routes) != set(group.labelled.routes):
        yield Finding(
            group,
            "routesDiffer",
            f"its routes differ from those of {first.path}: both back the service {group.labelled.service_name}, which "
            "takes the calls of both and gives each its share of all: give both the same hosts, grpc_services, "
            "methods, metadata, priority and routes",
        )


def _weight_alone(group: ServiceGroup) -> Iterator[Finding]:
    if group.labelled.weight is not None:
        yield Finding(
            group,
            "weightAlone",
            f"weight {group.labelled.weight} has no effect: no other ECS service of this app backs the service "
            f"{group.labelled.service_name}, so it takes all calls: give both the same service_name, or leave weight "
            "out",
        )


def _zones_beside_weights(groups: Iterable[ServiceGroup]) -> Iterator[Finding]:
    for group in groups:
        if group.labelled.policy.balancing.prefer_zone:
            yield Finding(
                group,
                "zoneBesideWeight",
                f"weights of the service {group.labelled.service_name} come before balancing.prefer_zone: calls do not "
                "stay in their zone",
            )


def _copies_to_nobody(groups: Iterable[ServiceGroup], services: Iterable[str]) -> Iterator[Finding]:
    known = sorted(services)
    for group in groups:
        mirror = group.labelled.policy.mirror.service
        if mirror is not None and mirror not in known:
            yield Finding(
                group,
                "mirrorUnknown",
                f"mirror.service {mirror} is none of the services that this app has behind the balancer, "
                f"{', '.join(known)}: without such a service nothing is copied",
            )


def _by_service(groups: Iterable[ServiceGroup]) -> Mapping[str, list[ServiceGroup]]:
    by_service: dict[str, list[ServiceGroup]] = {}
    for group in groups:
        by_service.setdefault(group.labelled.service_name, []).append(group)
    return by_service
