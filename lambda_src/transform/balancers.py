"""Which of a cluster's tasks are balancers: the listing that finds the targets has them too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set

from grpc_lb_contract import Balancer
from grpc_lb_contract.document.balancers import BALANCER_LABEL, MAX_BALANCERS, MAX_NAME, REGISTERED_LABEL, name_of
from grpc_lb_contract.labels.names import SERVICE
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


def registered_elsewhere(
    tasks: Iterable[Task], definitions: Mapping[str, TaskDefinition], services: Set[str], prefix: str
) -> Mapping[str, str]:
    """Those of the `services` whose tasks say that they are registered with other balancers, and with which: their
    security groups let those in, and hardly this one, with its document under `prefix`.
    """
    found: dict[str, str] = {}
    for task in tasks:
        definition = definitions.get(task.definition)
        if definition is None or task.is_over:
            continue
        for container in definition.containers:
            said, service = container.labels.get(REGISTERED_LABEL), container.labels.get(SERVICE, "").strip()
            if said is not None and service in services and name_of(prefix) not in said.split(","):
                found[service] = said
    return found


def _found(tasks: Iterable[Task], definitions: Mapping[str, TaskDefinition]) -> Iterator[Balancer]:
    for task in tasks:
        definition = definitions.get(task.definition)
        if definition is None or task.address is None or {task.desired_status, task.last_status} != {RUNNING}:
            continue
        for container in definition.containers:
            name = container.labels.get(BALANCER_LABEL)
            if name is not None and len(name) <= MAX_NAME:
                yield Balancer(task.address, zone=task.zone, task=task.id, name=name)
