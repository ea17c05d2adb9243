"""The fake AWS made to behave like AWS, in virtual time: slow, throttled, out of date, and the end of a Lambda."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from local_aws.behaviour.edge import Edge, gone_definition
from local_aws.behaviour.history import History
from tests.lambda_src.fake_aws import NOW, Answer, FakeAws, Json, Time, task_arn


class Killed(BaseException):
    """The end of an execution environment: no `except Exception` sees it, and nothing after it runs."""


class EventfulTime(Time):
    """A clock of many things to happen, each at its time, in order. Safe to sleep on from several threads."""

    def __init__(self, now: float = NOW) -> None:
        super().__init__(now)
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._count = itertools.count()
        self._lock = threading.RLock()

    @property
    def next_due(self) -> float:
        return self._due[0][0] if self._due else math.inf

    def at(self, moment: float, happen: Callable[[], object]) -> None:
        heapq.heappush(self._due, (moment, next(self._count), happen))

    def after(self, seconds: float, happen: Callable[[], object]) -> None:
        self.at(self.now + seconds, happen)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            end = self.now + seconds
            while self._due and self._due[0][0] <= end:
                moment, _, happen = heapq.heappop(self._due)
                self.now = max(self.now, moment)
                happen()
            self.now = max(self.now, end)


class Behaving:
    """Stands before a fake AWS's answers. Make it before the fake has tasks.

    `calls_left` is None, or the number of calls after which the function is killed; `inactive` holds the ARNs of task
    definitions that nothing may refer to any more.
    """

    def __init__(self, aws: FakeAws, edge: Edge, time: Time) -> None:
        self.calls_left: int | None = None
        self.deadline = float("inf")
        self.inactive: set[str] = set()
        self.kills = 0
        self._aws, self._edge, self._time = aws, edge, time
        self._history = History()
        self._lock = threading.RLock()
        aws.tasks = _Recorded(self._history, time)
        aws.spoil = self._answer

    def _answer(self, operation: str, parameters: Json) -> Answer | None:
        with self._lock:  # one call at a time: virtual time has one thread
            met = self._edge.meet(operation, parameters, self._time.now)
            self._time.sleep(met.seconds)
            self._end_if_due()
            if met.rejection is not None:
                return 400, met.rejection.body
            if operation == "DescribeTasks":
                return self._described(parameters["tasks"], self._edge.lag())
            if operation == "DescribeTaskDefinition":
                arn = parameters["taskDefinition"]
                rejection = gone_definition(arn, inactive=arn in self.inactive, referenced=self._is_referenced(arn))
                return None if rejection is None else (400, rejection.body)
            return None

    def _end_if_due(self) -> None:
        if self.calls_left is not None:
            self.calls_left -= 1
        if self._time.now >= self.deadline or (self.calls_left is not None and self.calls_left < 0):
            self.calls_left = None
            self.kills += 1
            raise Killed

    def _described(self, ids: list[str], lag: float) -> Answer:
        then = {one: self._history.at(one, self._time.now - lag) for one in ids}
        return 200, {
            "tasks": [task for one, task in then.items() if task is not None and one in self._aws.tasks],
            "failures": [
                {"arn": task_arn(one), "reason": "MISSING"}
                for one, task in then.items()
                if task is None or one not in self._aws.tasks
            ],
        }

    def _is_referenced(self, arn: str) -> bool:
        return any(
            task["taskDefinitionArn"] == arn and task["lastStatus"] != "STOPPED" for task in self._aws.tasks.values()
        )


class _Recorded(dict[str, Any]):
    """Tasks, and how they were. FakeAws puts a task back whenever it changes one."""

    def __init__(self, history: History, time: Time) -> None:
        super().__init__()
        self._history, self._time = history, time

    def __setitem__(self, name: str, task: Json) -> None:
        super().__setitem__(name, task)
        self._history.put(name, task, self._time.now)


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
