"""Events late, repeated, lost and out of order; processes that come and go: the document follows the cluster."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.lambda_src.conftest import Sync
from tests.lambda_src.fake_aws import FakeAws, Json

STEPS = st.one_of(
    st.tuples(st.sampled_from(["run", "stop", "end", "deliver"]), st.integers(0, 30)),
    st.tuples(st.just("wait"), st.integers(1, 90)),
    st.tuples(st.sampled_from(["minute", "restart", "an hour later"]), st.just(0)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, min_size=5, max_size=30))
@pytest.mark.usefixtures("aws")
def test_invariant_3_whatever_order_events_come_in_the_document_follows_the_cluster(
    steps: list[tuple[str, int]],
) -> None:
    aws = FakeAws()
    sync = Sync(aws)
    sent: list[Json] = []
    ran = 0
    for step, number in steps:
        if step == "run":
            ran += 1
            sent.append(aws.event(aws.run(ran, service=f"s{ran % 2}")))
        elif step in ("stop", "end") and aws.tasks:
            task = list(aws.tasks)[number % len(aws.tasks)]
            if aws.tasks[task]["lastStatus"] == "RUNNING":
                aws.stop(task, "RUNNING" if step == "stop" else "STOPPED")
                sent.append(aws.event(task))
        elif step == "an hour later":
            # ECS forgets what has stopped
            sync.time.now += 3600
            aws.tasks = {name: task for name, task in aws.tasks.items() if task["desiredStatus"] == "RUNNING"}
        elif step == "deliver" and sent:
            sync.handle(sent[number % len(sent)])
        elif step == "wait":
            sync.time.now += number
        elif step == "minute":
            sync.minute()
            assert_follows(sync)
        elif step == "restart":
            sync.restart()
    # WHEN the last event of each task has come at last, without any refresh by the minute rule
    for task in [*aws.tasks, *aws.tasks]:
        sync.handle(aws.event(task))
    # THEN all that run serve, those that stop drain, and no other is there
    if aws.tasks:
        assert_follows(sync)


def assert_follows(sync: Sync) -> None:
    tasks = sync.aws.tasks.items()
    running = {name for name, task in tasks if task["desiredStatus"] == "RUNNING"}
    assert sync.serving("s0") | sync.serving("s1") == running
    assert sync.draining("s0") | sync.draining("s1") <= {
        name for name, task in tasks if task["lastStatus"] == "RUNNING" and name not in running
    }
