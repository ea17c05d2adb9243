"""ECS, the queue, the Lambda and its balancers together in virtual time, under AWS's latencies and quotas.

The Lambda's handler and the balancers' reader are the real ones; what lies between them is AWS as it behaves.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from grpc_lb_contract import Cause, Document, TargetState
from local_aws.behaviour.edge import Edge
from local_aws.behaviour.timings import DOCUMENTED
from proxy_image.control_plane.sources import ssm
from proxy_image.control_plane.sources.last_good import LastGood
from proxy_image.control_plane.sources.poll_intervals import Intervals, delay
from proxy_image.control_plane.sources.sink import Origin, Trouble
from proxy_image.control_plane.sources.ssm import SsmSource
from proxy_image.settings import from_environment
from tests.lambda_src.conftest import Sync
from tests.lambda_src.fake_aws import PREFIX, FakeAws
from tests.lambda_src.storm.behaving import Behaving, EventfulTime, iso
from tests.lambda_src.storm.ecs_and_queue import Queue

LAMBDA_CPU_SECONDS = 0.1
"""Of an invocation, beside its calls; benchmarks/aws_latency.py measures it."""
COLD_START_SECONDS = 0.8
LOOK_SECONDS = 0.02


class Simulation:
    """A cluster with two balancers. `calls` counts API calls, by who made them and the operation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, seed: int = 1, balancers: int = 2) -> None:
        self.time = EventfulTime()
        self.aws = FakeAws()
        self.edge = Edge(DOCUMENTED, seed)
        self.calls: Counter[tuple[str, str]] = Counter()
        self._behaving = Behaving(self.aws, self.edge, self.time)
        self._queue = Queue(self.time)
        self._sync = Sync(self.aws, self.time)
        self._started = self.aws.requests
        self._loop = asyncio.new_event_loop()
        monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=self.time.sleep))
        monkeypatch.setattr(ssm, "time", SimpleNamespace(time=lambda: self.time.now))
        self.balancers = [Balancer(self, self._loop, Random(seed + one)) for one in range(balancers)]  # noqa: S311
        self._every_minute()

    def close(self) -> None:
        self._loop.close()

    def run(self, seconds: float) -> None:
        end = self.time.now + seconds
        while self.time.now < end:
            batch = self._queue.batch()
            if not batch:
                self.time.sleep(self._looks_in_vain(end) * LOOK_SECONDS)
                continue
            if self.edge.is_cold():
                self._sync.restart()
                self.time.sleep(COLD_START_SECONDS)
            self.time.sleep(LAMBDA_CPU_SECONDS)
            before = len(self.aws.requests)
            try:
                self._sync.handle(*batch)
            except Exception:
                self._queue.failed(batch)
            else:
                self._queue.done(batch)
            self.calls.update(("lambda", operation) for operation, _ in self.aws.requests[before:])

    def _looks_in_vain(self, end: float) -> int:
        """How often the Lambda's poller looks until something may have come."""
        back = self._queue.blocked_until if self._queue.waiting else math.inf
        return max(1, math.ceil((min(end, back, self.time.next_due) - self.time.now) / LOOK_SECONDS))

    def tell(self, task: str) -> None:
        """Send the event of the state that a task is in now."""
        now = iso(self.time.now)
        event = self.aws.event(task, updatedAt=now) | {"time": now}
        for late in self.edge.delays():
            self.time.after(late, lambda: self._queue.put(json.dumps(event)))

    def _every_minute(self) -> None:
        self._queue.put('{"detail-type": "Scheduled Event", "source": "aws.events"}')
        self.time.after(60, self._every_minute)


class Balancer:
    """A balancer's reader, and since when each task has been serving, or not, as it knows."""

    def __init__(self, simulation: Simulation, loop: asyncio.AbstractEventLoop, chance: Random) -> None:
        settings = from_environment({"GRPC_LB_PARAMETER_PREFIX": PREFIX})
        self._intervals = Intervals(settings.poll_seconds, settings.idle_poll_seconds)
        self._simulation, self._loop, self._chance = simulation, loop, chance
        self.serving_since: dict[str, float] = {}
        self.gone_since: dict[str, float] = {}
        self.source = SsmSource(
            self,
            prefix=PREFIX,
            intervals=self._intervals,
            last_good=cast(LastGood, SimpleNamespace(load=lambda: None, save=lambda texts: None)),
            sink=self,
        )
        self._count = 0
        simulation.time.after(chance.uniform(0, settings.idle_poll_seconds), self._poll)

    def _poll(self) -> None:
        met = self._simulation.edge.meet("GetParameter", {}, self._simulation.time.now)
        self._simulation.calls["balancers", "GetParameter"] += 1
        self._simulation.time.after(met.seconds, self._read)

    def _read(self) -> None:
        trouble = self._loop.run_until_complete(self.source.read())
        self._count = 0 if trouble is None else self._count + 1
        interval = self._intervals.after(trouble, self._count, expects_changes=self.source.expects_changes)
        self._simulation.time.after(delay(interval, trouble, self._count, self._chance.random()), self._poll)

    # As Parameters

    async def get(self, name: str) -> str | None:
        return self._simulation.aws.parameters.get(name)

    async def get_many(self, names: Sequence[str]) -> Mapping[str, str]:
        self._simulation.calls["balancers", "GetParameters"] += -(-len(names) // 10)
        return {name: self._simulation.aws.parameters[name] for name in names}

    # As Sink

    async def found(
        self, document: Document, origin: Origin, generation: str | None = None, cause: Cause | None = None
    ) -> None:
        now = self._simulation.time.now
        serving = {
            target.task
            for service in document.services
            for target in service.targets
            if target.state is TargetState.SERVING
        }
        for task in serving - self.serving_since.keys():
            self.serving_since[task] = now
        for task in self.serving_since.keys() - serving - self.gone_since.keys():
            self.gone_since[task] = now

    def confirmed(self) -> None:
        pass

    def troubled(self, trouble: Trouble, message: str) -> None:
        pass


def start_task(simulation: Simulation, number: int, **more: Any) -> str:
    """A new task, PROVISIONING and told of."""
    task = simulation.aws.run(number, lastStatus="PROVISIONING", version=1, createdAt=simulation.time.now, **more)
    simulation.tell(task)
    return task


def change(simulation: Simulation, task: str, **more: Any) -> None:
    simulation.aws.change(task, **more)
    simulation.tell(task)
