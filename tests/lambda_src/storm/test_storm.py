"""A storm: thousands of events, late, repeated and out of order, while AWS throttles and kills at every step."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace

import pytest

from grpc_lb_contract import TargetState
from local_aws.behaviour.edge import Edge
from local_aws.behaviour.timings import DOCUMENTED, Delivery
from tests.lambda_src.conftest import Sync
from tests.lambda_src.fake_aws import FakeAws
from tests.lambda_src.storm.behaving import Behaving, EventfulTime, Killed
from tests.lambda_src.storm.ecs_and_queue import VISIBILITY_SECONDS, Ecs, Queue

SERVICES = 6
STEPS = 10


@dataclass(frozen=True)
class Storm:
    """So many events in so many seconds, with a kill in every `kill_every`th invocation, after which the batch comes
    again when `visibility` seconds are over, and `quiet` seconds after the storm. `strangers` are the reads a second
    that others of the account make.
    """

    events: int
    seconds: float
    staying: int
    kill_every: int
    quiet: float
    visibility: float
    strangers: float

    @property
    def tasks(self) -> int:
        return self.events // 7  # each has seven states, and an event for each


MINUTES = Storm(events=500, seconds=400, staying=12, kill_every=2, quiet=240, visibility=10, strangers=20)
HOUR = Storm(
    events=10_000, seconds=3600, staying=40, kill_every=20, quiet=600, visibility=VISIBILITY_SECONDS, strangers=15
)


@pytest.mark.parametrize(
    "storm",
    [
        pytest.param(MINUTES, id="minutes"),
        pytest.param(HOUR, id="an hour", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_a_storm_ends_with_the_right_document(storm: Storm, monkeypatch: pytest.MonkeyPatch) -> None:
    time, aws = EventfulTime(), FakeAws()
    edge = Edge(replace(DOCUMENTED, delivery=Delivery(repeated=0.1)), seed=12)
    behaving, queue = Behaving(aws, edge, time), Queue(time, storm.visibility)
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=time.sleep))  # its back-off
    sync = Sync(aws, time)
    ecs = Ecs(aws, time, edge, queue, services=SERVICES, seed=34)
    start, kills, invocations = time.now, 0, 0

    def strangers() -> None:
        """Others of the account take most of what ECS allows for reads, so that bursts are throttled."""
        edge.quotas.allow("DescribeTasks", time.now)
        if time.now < start + storm.seconds:
            time.after(1 / storm.strangers, strangers)

    def every_minute() -> None:
        queue.put('{"detail-type": "Scheduled Event", "source": "aws.events"}')
        time.after(60, every_minute)

    for number in range(storm.tasks):
        at = start + number * (storm.seconds - 200) / storm.tasks
        time.at(at, partial(ecs.start_task, stays=number >= storm.tasks - storm.staying))
    strangers()
    every_minute()

    # WHEN the storm passes, with an end at each step of a refresh in turn, and then quiet minutes
    while time.now < start + storm.seconds + storm.quiet:
        batch = queue.batch()
        if not batch:
            time.sleep(0.05)
            continue
        invocations += 1
        is_storm = time.now < start + storm.seconds
        if is_storm and edge.is_cold():
            sync.restart()
        behaving.deadline = time.now + 60
        if is_storm and invocations % storm.kill_every == 0:
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
    assert ecs.events >= storm.events - 7 * (storm.staying + 1)
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
    assert len(running) == storm.staying
    named = [f"s{number}" for number in range(SERVICES)]
    assert set().union(*(sync.targets(TargetState.SERVING, name) for name in named)) == running
