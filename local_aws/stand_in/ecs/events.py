"""Task events to EventBridge, on a thread of their own: a slow target must not hold up ECS."""

from __future__ import annotations

import contextvars
import heapq
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from local_aws.stand_in.ecs.records import Record, event_detail

log = logging.getLogger("local_aws")

PutEvents = Callable[[dict[str, Any]], object]


class TaskEvents:
    """`delays` says, for each event, how many copies of it arrive, and how late: one at once, if nothing else."""

    def __init__(self, put_events: PutEvents, delays: Callable[[], Sequence[float]] = lambda: (0.0,)) -> None:
        self._put_events = put_events
        self._delays = delays
        self._count = itertools.count()
        self._wake = threading.Condition()
        self._due: list[tuple[float, int, contextvars.Context, dict[str, Any]]] = []
        threading.Thread(target=self._deliver, name="ecs-events", daemon=True).start()

    def emit(self, task: Record) -> None:
        """Send the task as it is now."""
        entry = {
            "Source": "aws.ecs",
            "DetailType": "ECS Task State Change",
            "Resources": [task["taskArn"]],
            "Detail": json.dumps(event_detail(task)),
        }
        now = time.monotonic()
        with self._wake:
            for delay in self._delays():
                due = (now + delay, next(self._count), contextvars.copy_context(), {"Entries": [entry]})
                heapq.heappush(self._due, due)
            self._wake.notify()

    def _deliver(self) -> None:
        while True:
            with self._wake:
                while not self._due or (wait := self._due[0][0] - time.monotonic()) > 0:
                    self._wake.wait(wait if self._due else None)
                _, _, context, request = heapq.heappop(self._due)
            try:
                context.run(self._put_events, request)
            except Exception:
                log.exception("an event must reach its targets")
