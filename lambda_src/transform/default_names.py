"""Default names: two containers are one service because their owners say so, never because their names look alike.

A service that no label names is called after its ECS service or task family, in lower case, with - for what a service's
name may not hold, and cut at 63 characters: `Orders_API` and `orders-api` come out as one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from grpc_lb_contract import Document


@dataclass(frozen=True, slots=True)
class Named:
    """A logical name, the name that it was made of (None where a label says it), and the group that registers so."""

    service: str
    made_of: str | None
    group: str


def shared_in_task(names: Iterable[tuple[str, str | None]]) -> frozenset[str]:
    """Of the containers of one task (service, what it was made of), the services that several register for, of which at
    least one by default.
    """
    by_service: defaultdict[str, list[str | None]] = defaultdict(list)
    for service, made_of in names:
        by_service[service].append(made_of)
    return frozenset(
        service
        for service, made_of in by_service.items()
        if len(made_of) > 1 and any(each is not None for each in made_of)
    )


def holders(names: Iterable[Named], previous: Document | None) -> Mapping[str, str]:
    """Of each service that several ECS names come out as, the one that keeps it: the one that has it in the previous
    document, else the one that is its very name, else the first.
    """
    groups_by_name: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name in names:
        if name.made_of is not None:
            groups_by_name[name.service][name.made_of].add(name.group)
    contested = {service: found for service, found in groups_by_name.items() if len(found) > 1}
    if not contested:
        return {}
    had = {service.name: {group.name for group in service.groups} for service in (previous or Document()).services}
    return {
        service: min(found, key=lambda made_of: _order(made_of, service, found[made_of], had.get(service, set())))
        for service, found in contested.items()
    }


def _order(made_of: str, service: str, groups: Set[str], had: Set[str]) -> tuple[bool, bool, str]:
    return groups.isdisjoint(had), made_of != service, made_of


def problem_in_task(service: str) -> str:
    return f"must be set for each container of a task that has several: this one would be {service}, as another is"


def problem_beside(service: str, made_of: str, holder: str) -> str:
    return f"must be set: {made_of} would be {service}, as which {holder} takes part"
