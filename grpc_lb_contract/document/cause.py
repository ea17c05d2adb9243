"""Why a generation was published and when: in the index's line beside the generation, never part of what it names.

    {"format":1,"generation":"5dff83080d155c3b","cause":{"kind":"event","at":1790000000.12,"published":1790000000.61,
     "events":2,"tasks":[["0123456789abcdef","rng","STOPPED","STOPPED","Essential container in task exited",""]]}}

Times are seconds since 1970, by the clocks of ECS and of the Lambda.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from grpc_lb_contract.document.diagnostics import cut

MAX_TASKS = 5
"""Of a batch; the first say what happened, and the index has little room."""


class CauseKind(StrEnum):
    """What asked for a generation."""

    EVENT = "event"
    """ECS told that tasks changed."""
    HEALTH = "health"
    """A task became healthy, or not, of which ECS sends no event: the Lambda was waiting for it."""
    SCHEDULED = "scheduled"
    """The refresh of every minute found it."""
    INVOKED = "invoked"
    """Someone invoked the Lambda, or wrote to its queue."""


@dataclass(frozen=True, slots=True)
class TaskChange:
    """What an event of ECS says of a task; "" where it says nothing. Long texts are cut.

    `service` is the ECS service, or the task family where none runs it; `reason` is why ECS stops the task, with the
    exit codes of its containers.
    """

    task: str
    service: str = ""
    last_status: str = ""
    desired_status: str = ""
    reason: str = ""
    stop_code: str = ""

    def __post_init__(self) -> None:
        for name, most in (("task", 128), ("service", 128), ("last_status", 32), ("desired_status", 32)):
            object.__setattr__(self, name, cut(getattr(self, name), most))
        object.__setattr__(self, "reason", cut(self.reason, 200))
        object.__setattr__(self, "stop_code", cut(self.stop_code, 40))


@dataclass(frozen=True, slots=True)
class Cause:
    """`at` is when ECS says that it happened (None where no event tells), `published` when the index was written,
    `events` how many events the refresh dealt with; of their tasks `tasks` has the first `MAX_TASKS`.
    """

    kind: CauseKind
    at: float | None = None
    published: float | None = None
    events: int = 0
    tasks: tuple[TaskChange, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", self.tasks[:MAX_TASKS])

    def fields(self) -> dict[str, object]:
        """What the index's line holds."""
        tasks = [
            [each.task, each.service, each.last_status, each.desired_status, each.reason, each.stop_code]
            for each in self.tasks
        ]
        fields = {"kind": self.kind.value, "at": self.at, "published": self.published, "events": self.events}
        return {name: value for name, value in fields.items() if value is not None} | (
            {"tasks": tasks} if tasks else {}
        )

    def with_fewer_tasks(self) -> Cause:
        return replace(self, tasks=self.tasks[:-1])


def read_cause(value: Any) -> Cause | None:
    """None where there is none that can be read: a newer writer's, or spoilt. No reader needs it to serve."""
    try:
        tasks = tuple(TaskChange(*(str(text) for text in each[:6])) for each in value.get("tasks", ()))
        return Cause(
            CauseKind(value["kind"]), _seconds(value, "at"), _seconds(value, "published"), int(value["events"]), tasks
        )
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        return None


def _seconds(value: Any, name: str) -> float | None:
    return None if value.get(name) is None else float(value[name])
