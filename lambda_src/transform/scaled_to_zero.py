"""Services of which no task is left: they keep their name and routes while an ECS service stands behind them.

One that is scaled to nothing, or stopped and started, or waits between the attempts of a crash loop would else lose its
routes to whoever asks for them, for good, and its callers would be told UNIMPLEMENTED where UNAVAILABLE is the truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

from grpc_lb_contract import Document, Group, Service
from grpc_lb_contract.names import GROUP_NAME
from lambda_src.discovery.selection import Selection
from lambda_src.discovery.tasks import LEAVING, RUNNING, Task


def ecs_services_to_ask_for(
    previous: Document | None,
    document: Document,
    tasks: Iterable[Task],
    told_to_stop: Set[str],
    selection: Selection,
) -> frozenset[str]:
    """The ECS services that may stand behind what vanished between two documents. One that has tasks to run does not:
    the labels of those say something else by now.
    """
    vanished = _vanished(previous, document.services, selection)
    groups = {group.name for service in vanished for group in service.groups}
    if not groups:
        return frozenset()
    return frozenset(
        groups
        - {
            task.service
            for task in tasks
            if task.desired_status == RUNNING and task.last_status not in LEAVING and task.id not in told_to_stop
        }
    )


def carried_on(
    previous: Document | None, services: Sequence[Service], active: Set[str], selection: Selection
) -> tuple[Service, ...]:
    """The vanished services, without targets, behind which one of the `active` ECS services stands."""
    kept = (
        replace(service, groups=tuple(group for group in service.groups if group.name in active), targets=())
        for service in _vanished(previous, services, selection)
    )
    return tuple(service for service in kept if service.groups)


def with_groups(services: Iterable[Service], backing: Mapping[str, Set[str]]) -> tuple[Service, ...]:
    """Services that have no target yet keep the ECS services that back them, so that those are known when the tasks
    vanish.
    """
    return tuple(
        replace(
            service, groups=tuple(Group(name) for name in backing.get(service.name, ()) if GROUP_NAME.fullmatch(name))
        )
        if not service.targets
        else service
        for service in services
    )


def _vanished(previous: Document | None, services: Iterable[Service], selection: Selection) -> tuple[Service, ...]:
    there = {service.name for service in services}
    return tuple(
        service
        for service in (previous or Document()).services
        if service.name not in there and selection.takes(service.name)
    )
