"""Which changes of the targets are to be expected: balancers poll fast while the index announces some."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from lambda_src.discovery.tasks import RUNNING, Task

# A task that starts or stops for longer is stuck, or drains long streams: neither says when its end will be.
EXPECTED_AFTER_SECONDS = 900.0

# The announcement ends by itself, so that a Lambda that is gone leaves no balancer polling fast; it is written again
# before it ends, not with each refresh of every minute.
ANNOUNCED_SECONDS = 300.0
RENEWED_BEFORE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Observed:
    """A task that takes part, `starting` (not serving yet), `stopping` (told to stop), or neither."""

    task: Task
    starting: bool = False
    stopping: bool = False


def expects_changes(observed: Iterable[Observed], now: float) -> bool:
    """Whether a task starts or stops, or a deployment runs: an ECS service runs tasks of two of them."""
    by_service: defaultdict[str, list[Task]] = defaultdict(list)
    for one in observed:
        if one.starting and _is_recent(one.task.created_at, now):
            return True
        if one.stopping and _is_recent(one.task.stopping_at, now):
            return True
        if one.task.service is not None and one.task.desired_status == RUNNING and not one.stopping:
            by_service[one.task.service].append(one.task)
    return any(_is_deployed(tasks, now) for tasks in by_service.values())


def announcement(published: float | None, *, expects: bool, now: float) -> float | None:
    """Until when to announce changes, in seconds since 1970; `published` is what the index says by now."""
    if not expects:
        return published if published is not None and published <= now else None
    if published is not None and RENEWED_BEFORE_SECONDS <= published - now <= ANNOUNCED_SECONDS:
        return published
    return float(round(now + ANNOUNCED_SECONDS))


def _is_deployed(tasks: Iterable[Task], now: float) -> bool:
    newest: dict[tuple[str, str], float] = {}
    for task in tasks:
        deployment = task.definition, task.started_by
        newest[deployment] = max(newest.get(deployment, 0.0), now if task.created_at is None else task.created_at)
    return len(newest) > 1 and _is_recent(max(newest.values()), now)


def _is_recent(moment: float | None, now: float) -> bool:
    """Also where the moment is not known."""
    return moment is None or now - moment < EXPECTED_AFTER_SECONDS
