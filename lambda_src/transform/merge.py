"""What a service's owner wants where its tasks do not all say the same: in a deployment, or with a canary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from grpc_lb_contract import DEFAULT_WEIGHT, Group, Registration, Route, TrafficPolicy


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What one container's labels say, and which ECS service and revision of its task definition it says it for."""

    registration: Registration
    group: str
    revision: int


def policy_of(settings: Sequence[ServiceSettings]) -> TrafficPolicy:
    """The policy of a service: of the group with the most tasks (of equals the first by name), its newest revision's.

    So a deployment's new labels hold from its first task on that serves, and a canary, having fewer tasks than what it
    stands beside, says nothing about the service as a whole.
    """
    largest = _largest(settings)
    return _newest(one for one in settings if one.group == largest).policy


def routes_of(settings: Sequence[ServiceSettings]) -> tuple[Route, ...]:
    """All that any of them asks for. Where they ask for the same calls otherwise, what `policy_of` goes by counts.

    A service whose tasks all restart keeps its routes meanwhile; one whose labels changed takes calls by the old
    ones and the new ones while tasks of both serve.
    """
    registrations = _distinct(settings)
    if len(registrations) == 1:
        return registrations[0].registration.routes
    largest = _largest(settings)
    in_order = sorted(registrations, key=lambda one: (one.group == largest, *_age(one)))
    return tuple({route.match: route for one in in_order for route in one.registration.routes}.values())


def groups_of(settings_by_group: Mapping[str, Sequence[ServiceSettings]]) -> tuple[Group, ...]:
    """Each group with the weight that its newest revision's labels have."""
    weights = {group: _newest(settings).weight for group, settings in settings_by_group.items()}
    if all(weight is None for weight in weights.values()):
        return tuple(Group(group) for group in weights)
    given = {group: DEFAULT_WEIGHT if weight is None else weight for group, weight in weights.items()}
    # Weight 1 everywhere stands for no weights at all: whoever wrote it wants equal groups.
    equal = set(given.values()) == {1}
    return tuple(Group(group, DEFAULT_WEIGHT if equal else weight) for group, weight in given.items())


def _largest(settings: Sequence[ServiceSettings]) -> str:
    tasks = Counter(one.group for one in settings)
    return min(tasks, key=lambda group: (-tasks[group], group))


def _newest(settings: Iterable[ServiceSettings]) -> Registration:
    registrations = _distinct(settings)
    newest = registrations[0] if len(registrations) == 1 else max(registrations, key=_age)
    return newest.registration


def _distinct(settings: Iterable[ServiceSettings]) -> list[ServiceSettings]:
    """Of tasks of one task definition, which have the same registration, one."""
    return list({id(one.registration): one for one in settings}.values())


def _age(one: ServiceSettings) -> tuple[int, list[tuple[str, str]]]:
    # By content where revisions are equal (two containers, two families), so that the order of a listing never tells.
    return one.revision, sorted(one.registration.to_labels().items())
