"""A storm: thousands of events, late, repeated and out of order, while AWS throttles and kills at every step."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from grpc_lb_contract import TargetState
from local_aws.behaviour.edge import Edge
from local_aws.behaviour.profile import DOCUMENTED, Delivery
from tests.lambda_src.conftest import Sync
from tests.lambda_src.fake_aws import FakeAws
from tests.lambda_src.storm.behaving import Behaving, EventfulTime, Killed
from tests.lambda_src.storm.ecs_and_queue import Ecs, Queue

HOUR = 3600.0
SERVICES = 6
EVENTS = 10_000
TASKS = EVENTS // 7  # each task has seven states, and an event for each
STAYING = 40
KILL_EVERY = 20  # invocations
STEPS = 10
STRANGERS_READS_A_SECOND = 15.0


@pytest.mark.timeout(3600)
def test_an_hour_of_storms_ends_with_the_right_document(monkeypatch: pytest.MonkeyPatch) -> None:
    time, aws = EventfulTime(), FakeAws()
    edge = Edge(replace(DOCUMENTED, delivery=Delivery(repeated=0.1)), seed=12)
    behaving, queue = Behaving(aws, edge, time), Queue(time)
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=time.sleep))  # its back-off
    sync = Sync(aws, time)
    ecs = Ecs(aws, time, edge, queue, services=SERVICES, seed=34)
    start, kills, invocations = time.now, 0, 0

    def strangers() -> None:
        """Others of the account take most of what ECS allows for reads, so that bursts are throttled."""
        edge.quotas.allow("DescribeTasks", time.now)
        if time.now < start + HOUR:
            time.after(1 / STRANGERS_READS_A_SECOND, strangers)

    def every_minute() -> None:
        queue.put('{"detail-type": "Scheduled Event", "source": "aws.events"}')
        time.after(60, every_minute)

    for number in range(TASKS):
        time.at(start + number * (HOUR - 300) / TASKS, partial(ecs.start_task, stays=number >= TASKS - STAYING))
    strangers()
    every_minute()

    # WHEN an hour of storms passes, with an end at each step of a refresh in turn, and then ten quiet minutes
    while time.now < start + HOUR + 600:
        batch = queue.batch()
        if not batch:
            time.sleep(0.05)
            continue
        invocations += 1
        is_storm = time.now < start + HOUR
        if is_storm and edge.is_cold():
            sync.restart()
        behaving.deadline = time.now + 60
        if is_storm and invocations % KILL_EVERY == 0:
            behaving.calls_left = kills % STEPS
            kills += 1
        try:
            sync.handle(*batch)
        except Killed:
            sync.restart()
            queue.failed(batch)
        except Exception:
            queue.failed(batch)
        else:
            queue.done(batch)
        behaving.calls_left = None
        if behaving.kills:
            sync.document()  # THEN what is published can be read, whatever was cut off

    # THEN all of it happened
    assert ecs.events >= EVENTS - 7 * STAYING
    assert behaving.kills >= STEPS
    assert edge.quotas.throttled["DescribeTasks"] + edge.quotas.throttled["ListTasks"] > 0
    assert queue.dead == 0
    # THEN the document is the one that a new process makes of an empty store
    judge_aws = copy.copy(aws)
    judge_aws.parameters, judge_aws.spoil = {}, lambda *_: None
    judge = Sync(judge_aws)
    judge.minute()
    assert {s.name: s.targets for s in sync.document().services} == {
        s.name: s.targets for s in judge.document().services
    }
    # THEN it is what ECS says, told without any code of the Lambda
    running = {name for name, task in aws.tasks.items() if task["desiredStatus"] == task["lastStatus"] == "RUNNING"}
    assert len(running) == STAYING
    named = [f"s{number}" for number in range(SERVICES)]
    assert set().union(*(sync.targets(TargetState.SERVING, name) for name in named)) == running
