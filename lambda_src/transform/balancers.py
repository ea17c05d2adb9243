"""Which of a cluster's tasks are balancers: the listing that finds the targets has them too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from grpc_lb_contract import Balancer
from grpc_lb_contract.document.balancers import BALANCER_LABEL, MAX_BALANCERS, MAX_NAME
from lambda_src.discovery.selection import Selection
from lambda_src.discovery.tasks import RUNNING, Task, TaskDefinition


def balancers_of(tasks: Iterable[Task], definitions: Mapping[str, TaskDefinition]) -> tuple[Balancer, ...]:
    """Those that run and are not told to stop, the first MAX_BALANCERS by address."""
    return tuple(sorted(_found(tasks, definitions))[:MAX_BALANCERS])


def overlapping(balancers: Iterable[Balancer], prefix: str, selection: Selection) -> frozenset[str]:
    """The other balancers of the cluster whose services this one, with its document under `prefix`, serves too.

    What the others take is not known here: only one that takes every labelled service surely takes theirs.
    """
    if selection.only_services or selection.only_label is not None:
        return frozenset()
    return frozenset(balancer.name for balancer in balancers) - {prefix}


def _found(tasks: Iterable[Task], definitions: Mapping[str, TaskDefinition]) -> Iterator[Balancer]:
    for task in tasks:
        definition = definitions.get(task.definition)
        if definition is None or task.address is None or {task.desired_status, task.last_status} != {RUNNING}:
            continue
        for container in definition.containers:
            name = container.labels.get(BALANCER_LABEL)
            if name is not None and len(name) <= MAX_NAME:
                yield Balancer(task.address, zone=task.zone, task=task.id, name=name)
