from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import TaskChange
from lambda_src.discovery.events import Batch, Hint, read_batch
from tests.lambda_src.fake_aws import CLUSTER, NOW, FakeAws, task_name

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    [
        "Records",
        "body",
        "detail",
        "detail-type",
        "time",
        "clusterArn",
        "taskArn",
        "version",
        "group",
        "updatedAt",
        "stoppedReason",
        "stopCode",
        "containers",
        "exitCode",
        "reason",
        "lastStatus",
        "desiredStatus",
    ]
)
VALUES = st.sampled_from(["ECS Task State Change", "Scheduled Event", CLUSTER, "9", "2026-01-01T00:00:00Z"]) | JSON
ALMOST_EVENTS = st.recursive(
    st.dictionaries(FIELDS, VALUES, max_size=8),
    lambda inner: st.dictionaries(FIELDS, inner | VALUES | st.lists(inner, max_size=3), max_size=8),
    max_leaves=10,
)


def records(*bodies: Any) -> dict[str, Any]:
    return {"Records": [{"body": body if isinstance(body, str) else json.dumps(body)} for body in bodies]}


def test_a_task_state_change_is_a_hint() -> None:
    event = FakeAws().event(task_name(1), version=7, desiredStatus="STOPPED")
    change = TaskChange(task_name(1), last_status="RUNNING", desired_status="STOPPED")
    assert read_batch(records(event), CLUSTER) == Batch(
        count=1, hints=(Hint(task_name(1), 7, "STOPPED", NOW - 10, change),), oldest=NOW - 10
    )


def test_the_minute_rules_event_is_no_hint_but_asks_for_a_refresh() -> None:
    batch = read_batch(records({"detail-type": "Scheduled Event", "time": "2026-09-21T14:13:20Z"}), CLUSTER)
    assert (batch.scheduled, batch.hints, batch.oldest) == (True, (), NOW)


def test_an_event_of_another_cluster_is_refused() -> None:
    batch = read_batch(records(FakeAws().event(task_name(1), clusterArn="arn:other")), CLUSTER)
    assert batch.hints == ()
    assert batch.rejected == (f"clusterArn must be {CLUSTER}, got 'arn:other'",)


@given(JSON | ALMOST_EVENTS | st.builds(lambda inner: records(*inner), st.lists(JSON | ALMOST_EVENTS, max_size=3)))
def test_no_garbage_is_too_much(event: Any) -> None:
    batch = read_batch(event, CLUSTER)
    assert batch.count >= len(batch.hints) + len(batch.rejected)
    assert all(isinstance(hint.task, str) for hint in batch.hints)
