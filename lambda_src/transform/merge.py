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


def policy_of(wishes: Sequence[ServiceSettings]) -> TrafficPolicy:
    """The policy of a service: of the group with the most tasks (of equals the first by name), its newest revision's.

    So a deployment's new labels hold from its first task on that serves, and a canary, having fewer tasks than what it
    stands beside, says nothing about the service as a whole.
    """
    largest = _largest(wishes)
    return _newest(wish for wish in wishes if wish.group == largest).policy


def routes_of(wishes: Sequence[ServiceSettings]) -> tuple[Route, ...]:
    """All that any of them asks for. Where they ask for the same calls otherwise, what `policy_of` goes by counts.

    A service whose tasks all start anew keeps its routes meanwhile; one whose labels changed takes calls by the old
    ones and the new ones while tasks of both serve.
    """
    registrations = _distinct(wishes)
    if len(registrations) == 1:
        return registrations[0].registration.routes
    largest = _largest(wishes)
    in_order = sorted(registrations, key=lambda wish: (wish.group == largest, *_age(wish)))
    return tuple({route.match: route for wish in in_order for route in wish.registration.routes}.values())


def groups_of(wishes_by_group: Mapping[str, Sequence[ServiceSettings]]) -> tuple[Group, ...]:
    """Each group with the weight that its newest revision's labels have."""
    weights = {group: _newest(wishes).weight for group, wishes in wishes_by_group.items()}
    if all(weight is None for weight in weights.values()):
        return tuple(Group(group) for group in weights)
    given = {group: DEFAULT_WEIGHT if weight is None else weight for group, weight in weights.items()}
    # Weight 1 everywhere stands for no weights at all: whoever wrote it wants equal groups.
    equal = set(given.values()) == {1}
    return tuple(Group(group, DEFAULT_WEIGHT if equal else weight) for group, weight in given.items())


def _largest(wishes: Sequence[ServiceSettings]) -> str:
    tasks = Counter(wish.group for wish in wishes)
    return min(tasks, key=lambda group: (-tasks[group], group))


def _newest(wishes: Iterable[ServiceSettings]) -> Registration:
    registrations = _distinct(wishes)
    newest = registrations[0] if len(registrations) == 1 else max(registrations, key=_age)
    return newest.registration


def _distinct(wishes: Iterable[ServiceSettings]) -> list[ServiceSettings]:
    """Of tasks of one task definition, which have the same registration, one."""
    return list({id(wish.registration): wish for wish in wishes}.values())


def _age(wish: ServiceSettings) -> tuple[int, list[tuple[str, str]]]:
    # By content where revisions are equal (two containers, two families), so that the order of a listing never tells.
    return wish.revision, sorted(wish.registration.to_labels().items())
