"""What a service's scheduler does next, as a pure function of what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskView:
    arn: str
    current: bool
    """Of the primary deployment."""
    steady: bool
    """Running, healthy where it has a health check, and taken in by its load balancers."""
    zone: str
    created: float


@dataclass(frozen=True, slots=True)
class Plan:
    start: int = 0
    stop: tuple[str, ...] = ()
    completed: bool = False
    """The primary deployment is what runs, and all of it is steady."""


def plan(desired: int, tasks: Sequence[TaskView], *, minimum_percent: int = 100, maximum_percent: int = 200) -> Plan:
    """Start new tasks first as far as the maximum allows; stop old ones as new ones become steady.

    Only where there is no room to start are old tasks stopped before, and never below the minimum healthy percent.
    """
    current = [task for task in tasks if task.current]
    stale = [task for task in tasks if not task.current]
    missing = max(0, desired - len(current))
    room = max(0, desired * maximum_percent // 100 - len(tasks))
    start = min(missing, room)

    surplus = max(0, len(current) - desired)
    stop = [task.arn for task in _first_to_go(current)[:surplus]]

    unsteady_stale = [task for task in stale if not task.steady]
    steady_stale = [task for task in stale if task.steady]
    stop += [task.arn for task in unsteady_stale]
    keep = desired if missing <= room else -(-desired * minimum_percent // 100)
    steady = sum(task.steady for task in tasks)
    spare = max(0, steady - keep) if start < missing or stale else 0
    stop += [task.arn for task in _first_to_go(steady_stale)[:spare]]
    completed = not stale and len(current) == desired and all(task.steady for task in current)
    return Plan(start, tuple(stop), completed)


def _first_to_go(tasks: Sequence[TaskView]) -> list[TaskView]:
    """Unsteady ones, then from the zone with the most tasks, the newest first: zones stay balanced."""
    left = sorted(tasks, key=lambda task: (task.steady, -task.created))
    zones = Counter(task.zone for task in tasks)
    ordered: list[TaskView] = []
    while left:
        task = min(left, key=lambda task: (task.steady, -zones[task.zone], -task.created))
        zones[task.zone] -= 1
        left.remove(task)
        ordered.append(task)
    return ordered


def restart_delay(failures: int) -> float:
    """Seconds to wait after that many early deaths in a row: the first replacement starts at once, then it backs off.

    ECS throttles tasks that keep failing to start, up to 15 minutes
    (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html); a laptop has less time.
    """
    return 0.0 if failures <= 1 else float(min(60, 2 ** (failures - 1)))
