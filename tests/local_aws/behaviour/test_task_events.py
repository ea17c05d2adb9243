"""Events on their way from ECS to EventBridge: at once and in order, or as AWS delivers them."""

from __future__ import annotations

import json
import threading
from typing import Any

from local_aws.stand_in.ecs.events import TaskEvents
from local_aws.stand_in.ecs.records import change, new_task
from tests.waiting import PATIENCE_SECONDS

DEFINITION = {"taskDefinitionArn": "arn:aws:ecs:us-east-1:0:task-definition/echo:1", "containerDefinitions": []}


class Arrivals:
    def __init__(self, count: int) -> None:
        self.versions: list[int] = []
        self._count = count
        self._all = threading.Event()

    def __call__(self, request: dict[str, Any]) -> None:
        self.versions.append(json.loads(request["Entries"][0]["Detail"])["version"])
        if len(self.versions) == self._count:
            self._all.set()

    def wait(self) -> None:
        assert self._all.wait(PATIENCE_SECONDS)


def send(events: TaskEvents, count: int) -> None:
    task = new_task(
        DEFINITION,
        cluster_arn="arn:aws:ecs:us-east-1:0:cluster/c",
        group="service:echo",
        started_by="",
        launch_type="FARGATE",
        address="127.0.9.20",
        subnet="subnet-1",
        zone="us-east-1a",
    )
    for _ in range(count):
        events.emit(task)
        change(task)


def test_events_arrive_in_their_order_where_nothing_delays_them() -> None:
    arrivals = Arrivals(50)
    send(TaskEvents(arrivals), 50)
    arrivals.wait()
    assert arrivals.versions == list(range(1, 51))


def test_each_copy_arrives_after_its_own_delay() -> None:
    # GIVEN a first event that is late, a second that comes twice, and a third
    delays = iter([(0.6,), (0.0, 0.3), (0.1,)])
    arrivals = Arrivals(4)
    # WHEN they are sent at once
    send(TaskEvents(arrivals, lambda: next(delays)), 3)
    arrivals.wait()
    # THEN later ones overtake it
    assert arrivals.versions == [2, 3, 2, 1]
