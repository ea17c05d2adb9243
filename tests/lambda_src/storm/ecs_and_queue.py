"""An hour in which tasks come and go without rest: what ECS does, and the queue between its events and the Lambda."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from local_aws.behaviour.edge import Edge
from tests.lambda_src.fake_aws import FakeAws
from tests.lambda_src.storm.behaving import EventfulTime, iso

# As the constructs set them (cdk_grpc_lb/balancer/target_sync.py).
BATCH_SIZE = 10
VISIBILITY_SECONDS = 180.0
ATTEMPTS = 5

Change = tuple[str, str, float, float]

LIFE: tuple[Change, ...] = (
    ("PENDING", "RUNNING", 1.0, 5.0),
    ("RUNNING", "RUNNING", 2.0, 20.0),
    ("RUNNING", "STOPPED", 20.0, 120.0),
    ("STOPPING", "STOPPED", 0.5, 30.0),
    ("DEPROVISIONING", "STOPPED", 0.5, 20.0),
    ("STOPPED", "STOPPED", 1.0, 5.0),
)
"""The way of a task after PROVISIONING: last status, desired status, and the bounds of the seconds before it."""
STAYS = 2
"""So many of these changes make a task that runs."""


@dataclass
class Queue:
    """SQS FIFO with one message group: a batch that failed comes again after its time, and nothing passes it."""

    time: EventfulTime
    visibility_seconds: float = VISIBILITY_SECONDS
    waiting: deque[Any] = field(default_factory=deque)
    blocked_until: float = 0.0
    dead: int = 0
    attempts: int = 0

    def put(self, event: Any) -> None:
        self.waiting.append(event)

    def batch(self) -> list[Any]:
        if self.time.now < self.blocked_until:
            return []
        return [self.waiting[place] for place in range(min(BATCH_SIZE, len(self.waiting)))]

    def done(self, batch: list[Any]) -> None:
        for _ in batch:
            self.waiting.popleft()
        self.attempts, self.blocked_until = 0, 0.0

    def failed(self, batch: list[Any]) -> None:
        self.attempts += 1
        self.blocked_until = self.time.now + self.visibility_seconds
        if self.attempts == ATTEMPTS:
            self.dead += len(batch)
            self.done(batch)


class Ecs:
    """Runs services of the fake whose tasks live through all of `LIFE`, each change with its event."""

    def __init__(self, aws: FakeAws, time: EventfulTime, edge: Edge, queue: Queue, *, services: int, seed: int) -> None:
        self.events = 0
        self._aws, self._time, self._edge, self._queue = aws, time, edge, queue
        self._chance = Random(seed)  # noqa: S311 - the same storm again
        self._started = 0
        self._names = [f"s{number}" for number in range(services)]
        for name in self._names:
            aws.define(name, labels={"grpc-lb.enable": "true", "grpc-lb.hosts": f"{name}.internal"})
            aws.services[name] = "ACTIVE"

    def start_task(self, *, stays: bool = False) -> None:
        """A new task; one that `stays` is never told to stop."""
        self._started += 1
        service = self._names[self._started % len(self._names)]
        task = self._aws.run(self._started, family=service, service=service, lastStatus="PROVISIONING", version=1)
        self._tell(task)
        self._step(task, LIFE[:STAYS] if stays else LIFE)

    def _step(self, task: str, life: Sequence[Change]) -> None:
        if not life:
            return
        (last, desired, earliest, latest), *rest = life

        def change() -> None:
            self._aws.change(task, lastStatus=last, desiredStatus=desired)
            self._tell(task)
            self._step(task, rest)

        self._time.after(self._chance.uniform(earliest, latest), change)

    def _tell(self, task: str) -> None:
        self.events += 1
        now = iso(self._time.now)
        event = self._aws.event(task, updatedAt=now) | {"time": now, "id": str(self.events)}
        for delay in self._edge.delays():
            self._time.after(delay, lambda: self._queue.put(json.dumps(event)))
