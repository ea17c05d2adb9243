"""Why a generation was published and when: in the index's line beside the generation, never part of what it names.

    {"format":1,"generation":"5dff83080d155c3b","cause":{"kind":"event","at":1790000000.12,"published":1790000000.61,
     "events":2,"tasks":[["0123456789abcdef","rng","STOPPED","STOPPED","Essential container in task exited",""]],
     "stops":[["Scaling activity initiated by …","123456789abcdef0","23456789abcdef01"]]}}

Times are seconds since 1970, by the clocks of ECS and of the Lambda. `stops` has the reason first, then the tasks that
ECS stopped for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from typing import Any

from grpc_lb_contract.document.diagnostics import cut

MAX_TASKS = 5
"""Of a batch; the first say what happened, and the index has little room."""

MAX_STOPS = 20
"""A reader polls every few seconds: it misses at most as many generations as come in between."""


HEALTH_CHECK_FAILS = "its health check in ECS fails"
"""How the reason begins for a target whose task goes on."""


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
class Stop:
    """A target's task that stopped or left, and why ECS stopped it, in ECS's words, with the exit codes of its
    containers, or `HEALTH_CHECK_FAILS`; "" while ECS has not said. Long texts are cut.
    """

    task: str
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", cut(self.task, 128))
        object.__setattr__(self, "reason", cut(self.reason, 200))


@dataclass(frozen=True, slots=True)
class Cause:
    """`at` is when ECS says that it happened (None where no event tells), `published` when the index was written,
    `events` how many events the refresh dealt with; of their tasks `tasks` has the first `MAX_TASKS`.

    `stops` are the last `MAX_STOPS` tasks that stopped and that `tasks` does not tell of, the newest first. Those of
    earlier generations are among them, because a reader that polls does not see every generation. A reason that comes
    later is written into the index of the same generation.
    """

    kind: CauseKind
    at: float | None = None
    published: float | None = None
    events: int = 0
    tasks: tuple[TaskChange, ...] = ()
    stops: tuple[Stop, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", self.tasks[:MAX_TASKS])
        object.__setattr__(self, "stops", self.stops[:MAX_STOPS])

    @property
    def reasons(self) -> dict[str, str]:
        """Why ECS stopped which task: of this generation and of those before."""
        told = {each.task: each.reason for each in self.tasks if each.reason}
        return {each.task: each.reason for each in self.stops if each.reason} | told

    @property
    def unexplained(self) -> frozenset[str]:
        """The tasks that left, of which ECS has not said why."""
        return frozenset(each.task for each in self.stops if not each.reason)

    def explained(self, reasons: Mapping[str, str]) -> Cause:
        """With the reasons of those that had none."""
        stops = (Stop(each.task, each.reason or reasons.get(each.task, "")) for each in self.stops)
        return replace(self, stops=tuple(stops))

    def index_fields(self) -> dict[str, object]:
        """What the index's line holds."""
        stops = [[reason, *(each.task for each in some)] for reason, some in groupby(self.stops, _reason)]
        return self.fields() | ({"stops": stops} if stops else {})

    def fields(self) -> dict[str, object]:
        """What log lines say: of this generation alone."""
        tasks = [
            [each.task, each.service, each.last_status, each.desired_status, each.reason, each.stop_code]
            for each in self.tasks
        ]
        fields = {"kind": self.kind.value, "at": self.at, "published": self.published, "events": self.events}
        return {name: value for name, value in fields.items() if value is not None} | (
            {"tasks": tasks} if tasks else {}
        )

    def shorter(self) -> Cause | None:
        """Without the stop that is the longest ago, or the last task; None where it has neither."""
        if self.stops:
            return replace(self, stops=self.stops[:-1])
        return replace(self, tasks=self.tasks[:-1]) if self.tasks else None


def _reason(stop: Stop) -> str:
    return stop.reason


def read_cause(value: Any) -> Cause | None:
    """None where there is none that can be read: a newer writer's, or spoilt. No reader needs it to serve."""
    try:
        tasks = tuple(TaskChange(*(str(text) for text in each[:6])) for each in value.get("tasks", ()))
        stops = tuple(Stop(str(task), str(reason)) for reason, *some in value.get("stops", ()) for task in some)
        at, published = _seconds(value, "at"), _seconds(value, "published")
        return Cause(CauseKind(value["kind"]), at, published, int(value["events"]), tasks, stops)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        return None


def _seconds(value: Any, name: str) -> float | None:
    return None if value.get(name) is None else float(value[name])
