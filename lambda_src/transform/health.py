"""Health read with care: one bad reading takes no target away from a service that runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass
from enum import IntEnum

from grpc_lb_contract import Document, TargetState
from lambda_src.discovery.tasks import LEAVING, MAY_HAVE_CALLS, RUNNING, Container, Task


class TargetStage(IntEnum):
    """How far a registration is. The furthest stage of a service says which of its labels count."""

    DRAINING = 0
    STARTING = 1
    UNHEALTHY = 2
    SERVING = 3


STATES = {TargetStage.SERVING: TargetState.SERVING, TargetStage.DRAINING: TargetState.DRAINING}


def stage_of(task: Task, container: Container, told_to_stop: frozenset[str]) -> TargetStage | None:
    """None for what is over, or was told to stop before it served."""
    runs = container.name not in task.exited
    if task.desired_status != RUNNING or task.last_status in LEAVING or task.id in told_to_stop:
        return TargetStage.DRAINING if task.last_status in MAY_HAVE_CALLS and runs else None
    if task.last_status != RUNNING or not runs:
        return TargetStage.STARTING
    if container.health_checked and container.name not in task.healthy:
        return TargetStage.UNHEALTHY
    return TargetStage.SERVING


@dataclass(frozen=True, slots=True)
class TargetPlace:
    """A container's place in a logical service, from one refresh to the next."""

    service: str
    task: str
    port: int


@dataclass(frozen=True, slots=True, order=True)
class DoubtedHealth:
    """`count` targets of a service serve although ECS does not call them healthy."""

    service: str
    count: int


def still_serving(
    previous: Document | None, *, well: Set[TargetPlace], unsure: Set[TargetPlace], sick: Set[TargetPlace]
) -> tuple[frozenset[TargetPlace], tuple[DoubtedHealth, ...]]:
    """Of the running containers whose health is not known (`unsure`) or bad (`sick`), those that go on serving.

    Only what served in the previous document does, so that a new task still has to be healthy first. ECS knows no
    health where its agent or the host is out of reach, which says nothing about the container. Sick ones leave, but
    not the last ones of a service: then the check is more likely to be wrong than all of them, and calls that may fail
    are better than calls that must. Load balancers fail open there for the same reason:
    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
    """
    served = _served(previous)
    stay = served & unsure
    cared_for = {place.service for place in well | stay}
    stay |= {place for place in served & sick if place.service not in cared_for}
    counts = Counter(place.service for place in stay - well)
    return stay, tuple(DoubtedHealth(service, count) for service, count in sorted(counts.items()))


def _served(previous: Document | None) -> frozenset[TargetPlace]:
    return frozenset(
        TargetPlace(service.name, target.task, target.port)
        for service in (previous or Document()).services
        for target in service.targets
        if target.state is TargetState.SERVING
    )
