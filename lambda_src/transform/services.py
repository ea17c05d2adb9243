"""Services of their containers: which routes, policy, groups and targets they come to together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from grpc_lb_contract import Group, Registration, Service, Target
from lambda_src.discovery.tasks import Task, TaskDefinition
from lambda_src.transform.health import STATES, TargetStage
from lambda_src.transform.merge import ServiceSettings, groups_of, policy_of, routes_of


@dataclass(frozen=True, slots=True, order=True)
class SkippedTask:
    """A task that would serve, and why it cannot."""

    task: str
    problem: str


@dataclass(frozen=True, slots=True)
class Member:
    """A container that registers for a service, and how far it is."""

    task: Task
    definition: TaskDefinition
    registration: Registration
    stage: TargetStage


@dataclass(frozen=True, slots=True)
class _Placed:
    """A member with its target, where it has one."""

    settings: ServiceSettings
    stage: TargetStage
    target: Target | None


@dataclass(frozen=True, slots=True)
class _Built:
    members: list[Member]
    service: Service
    skipped: frozenset[SkippedTask]


class ServiceCache:
    """Builds the services of one listing after the other. Of a thousand services an event changes one: the others are
    the same objects again, so that what was made of them can be used again.
    """

    def __init__(self) -> None:
        self._built: Mapping[str, _Built] = {}

    def build(self, members: Iterable[Member]) -> tuple[tuple[Service, ...], frozenset[SkippedTask]]:
        """The services that these are members of, and the tasks of which there is no target although they serve."""
        by_service: defaultdict[str, list[Member]] = defaultdict(list)
        for member in members:
            by_service[member.registration.service].append(member)
        self._built = {name: self._of(name, by_service[name]) for name in sorted(by_service)}
        built = self._built.values()
        return tuple(one.service for one in built), frozenset[SkippedTask]().union(*(one.skipped for one in built))

    def _of(self, name: str, members: list[Member]) -> _Built:
        known = self._built.get(name)
        return known if known is not None and known.members == members else _build(name, members)


def _build(name: str, members: list[Member]) -> _Built:
    skipped: set[SkippedTask] = set()
    placed = [_placed(member, skipped) for member in members]
    settings = _furthest(placed)
    groups = {one.settings.group for one in placed if one.target}
    service = Service(
        name=name,
        routes=routes_of(settings),
        groups=groups_of({group: _furthest(one for one in placed if one.settings.group == group) for group in groups}),
        targets=tuple(one.target for one in placed if one.target),
        policy=policy_of(settings),
    )
    return _Built(members, service, frozenset(skipped))


def _placed(member: Member, skipped: set[SkippedTask]) -> _Placed:
    task, definition, stage = member.task, member.definition, member.stage
    settings = ServiceSettings(member.registration, task.service or definition.family, definition.revision)
    if stage not in STATES:
        return _Placed(settings, stage, None)
    try:
        return _Placed(settings, stage, _target(task, settings, stage))
    except ValueError as error:
        skipped.add(SkippedTask(task.id, str(error)))
        return _Placed(settings, min(stage, TargetStage.STARTING), None)


def _target(task: Task, settings: ServiceSettings, stage: TargetStage) -> Target:
    if task.address is None:
        raise ValueError(
            "a task must have an IPv4 address or an IPv6 address of its own, got none (use the network mode awsvpc)"
        )
    return Target(
        task.address, settings.registration.port, task.zone, STATES[stage], Group(settings.group).name, task.id
    )


def _furthest(placed: Iterable[_Placed]) -> list[ServiceSettings]:
    some = list(placed)
    furthest = max(one.stage for one in some)
    return [one.settings for one in some if one.stage is furthest]
