"""Task events to EventBridge, in order, on a thread of their own: a slow target must not hold up ECS."""

from __future__ import annotations

import contextvars
import json
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from local_aws.stand_in.ecs.records import Record, event_detail

log = logging.getLogger("local_aws")

PutEvents = Callable[[dict[str, Any]], object]


class TaskEvents:
    def __init__(self, put_events: PutEvents) -> None:
        self._put_events = put_events
        self._queue: queue.SimpleQueue[tuple[contextvars.Context, dict[str, Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._deliver, name="ecs-events", daemon=True).start()

    def emit(self, task: Record) -> None:
        """Send the task as it is now."""
        entry = {
            "Source": "aws.ecs",
            "DetailType": "ECS Task State Change",
            "Resources": [task["taskArn"]],
            "Detail": json.dumps(event_detail(task)),
        }
        self._queue.put((contextvars.copy_context(), {"Entries": [entry]}))

    def _deliver(self) -> None:
        while True:
            context, request = self._queue.get()
            try:
                context.run(self._put_events, request)
            except Exception:
                log.exception("an event must reach its targets")
