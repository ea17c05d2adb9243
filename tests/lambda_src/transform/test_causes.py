"""What caused a generation, by the real handler: from ECS's event to the index."""

from __future__ import annotations

import time
from typing import Any

import pytest

from grpc_lb_contract import (
    Cause,
    CauseKind,
    Diagnostics,
    Document,
    DocumentTooLarge,
    RejectedLabel,
    ShadowedRoute,
    Stop,
    TaskChange,
    generation_of,
    index_parameter,
    pack,
    read_index,
)
from lambda_src.publish import ParameterStore
from tests.lambda_src.conftest import Sync
from tests.lambda_src.fake_aws import LABELS, NOW, PREFIX, FakeAws
from tests.lambda_src.test_publish import fleet, read

INDEX = index_parameter(PREFIX)
DIED: dict[str, Any] = {
    "group": "service:rng",
    "stoppedReason": "Essential container in task exited",
    "stopCode": "EssentialContainerExited",
    "containers": [{"name": "app", "exitCode": 137, "reason": "OutOfMemoryError"}, {"name": "sidecar", "exitCode": 0}],
    "updatedAt": "2026-09-21T14:13:10.250Z",
}


def cause(aws: FakeAws) -> Cause:
    found = read_index(aws.parameters[INDEX]).cause
    assert found is not None
    return found


def test_an_events_time_task_and_reason_end_in_the_index(aws: FakeAws, sync: Sync) -> None:
    # GIVEN two tasks, one of which dies
    task = aws.run(1)
    aws.run(2)
    sync.minute()
    aws.stop(task, "DEPROVISIONING")
    # WHEN its event comes
    sync.handle(aws.event(task, **DIED))
    # THEN the index says so
    reason = "Essential container in task exited (app: exit code 137, OutOfMemoryError)"
    change = TaskChange(task, "rng", "DEPROVISIONING", "STOPPED", reason, "EssentialContainerExited")
    assert cause(aws) == Cause(CauseKind.EVENT, NOW - 10 + 0.25, NOW, 1, (change,))


def test_the_minutes_refresh_says_that_it_found_the_change(aws: FakeAws, sync: Sync) -> None:
    aws.run(1)
    sync.minute()
    assert cause(aws) == Cause(CauseKind.SCHEDULED, None, NOW, 1)


def test_an_invocation_by_hand_is_called_that(aws: FakeAws, sync: Sync) -> None:
    aws.run(1)
    sync.handle({})
    assert cause(aws).kind is CauseKind.INVOKED


def test_of_a_batch_the_event_about_the_task_that_changed_comes_first(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a batch about a new task, among older events of tasks that stay as they are
    others = [aws.run(number) for number in range(2, 12)]
    sync.minute()
    task = aws.run(1)
    older = [aws.event(other) | {"time": "2026-09-21T14:10:00Z"} for other in others]
    # WHEN it is dealt with
    sync.handle(*older, aws.event(task))
    # THEN the time is that of the new task's event, and it is named first
    found = cause(aws)
    assert (found.at, found.events, found.tasks[0].task) == (NOW - 10, 11, task)


def test_what_is_said_of_a_batch_is_what_explains_the_change(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a batch about a task that dies, one that runs in its stead, and another that is to come
    dies = aws.run(1)
    sync.minute()
    later = aws.event(aws.run(3, lastStatus="PENDING")) | {"time": "2026-09-21T14:12:00Z"}
    comes = aws.run(2)
    pulls = aws.event(comes, lastStatus="PENDING", version=2) | {"time": "2026-09-21T14:12:30Z"}
    runs = aws.event(comes)
    aws.stop(dies, "DEPROVISIONING")
    # WHEN it is dealt with, the death last
    sync.handle(later, pulls, runs, aws.event(dies, **DIED))
    # THEN the death with its reason comes first, then the start; and no event that changed nothing
    found = cause(aws)
    assert [(each.task, each.last_status) for each in found.tasks] == [(dies, "DEPROVISIONING"), (comes, "RUNNING")]
    assert (found.at, found.events) == (NOW - 10, 4)


def test_a_task_that_the_listing_has_before_its_event_was_not_started_by_an_earlier_one(
    aws: FakeAws, sync: Sync
) -> None:
    # GIVEN a task that runs, of which ECS has told no more than that it is PENDING
    task = aws.run(1)
    pending = aws.event(task, lastStatus="PENDING", version=2)
    # WHEN it is found running, THEN that event's time is not when it began to
    sync.handle(pending)
    assert sync.serving() == {task}
    assert (cause(aws).kind, cause(aws).at, cause(aws).tasks[0].last_status) == (CauseKind.EVENT, None, "PENDING")
    # AND where the minute's refresh found it too, that is what is said
    other = aws.run(2)
    sync.handle(
        aws.event(other, lastStatus="PENDING", version=2),
        {"detail-type": "Scheduled Event", "source": "aws.events", "time": "2026-09-21T14:13:20Z"},
    )
    assert cause(aws).kind is CauseKind.SCHEDULED


def test_an_event_of_another_task_is_not_called_the_cause(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a task that runs, of which no event has told yet
    known = aws.run(1)
    sync.minute()
    aws.run(2)
    # WHEN an event of another task has ECS listed
    aws.change(known)
    sync.handle(aws.event(known))
    # THEN neither that task nor its time is said to have caused the change
    assert cause(aws) == Cause(CauseKind.EVENT, None, NOW, 1)


def test_a_task_that_became_healthy_has_no_event(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a task that starts, with a health check
    aws.define("rng", healthCheck={"command": ["CMD", "true"]})
    task = aws.run(1, startedAt=NOW)
    # WHEN it becomes healthy while the Lambda waits for it
    sync.time.after(5, lambda: aws.change(task, containers=[{"name": "app", "healthStatus": "HEALTHY"}]))
    sync.handle(aws.event(task))
    # THEN the event of its start is not what is said to have put it into the list
    assert sync.serving() == {task}
    assert (cause(aws).kind, cause(aws).at) == (CauseKind.HEALTH, None)


def test_a_reason_is_in_the_index_whichever_refresh_saw_the_task_go(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a task that dies, and a refresh that finds it gone before its event comes
    task = aws.run(1)
    aws.run(2)
    sync.minute()
    aws.stop(task, "DEPROVISIONING")
    aws.change(task, **DIED)
    sync.minute()
    # THEN the index has ECS's reason
    reason = "Essential container in task exited (app: exit code 137, OutOfMemoryError)"
    assert (cause(aws).kind, cause(aws).stops) == (CauseKind.SCHEDULED, (Stop(task, reason),))
    # AND so have later generations, for balancers that read none in between
    sync.handle(aws.event(aws.run(3)))
    assert (len(sync.serving()), cause(aws).stops) == (2, (Stop(task, reason),))


@pytest.mark.parametrize("by_event", [True, False])
def test_a_reason_that_ecs_tells_after_the_task_left_is_added(aws: FakeAws, sync: Sync, *, by_event: bool) -> None:
    # GIVEN a container that has ended, in a task that ECS has not told to stop yet
    task = aws.run(1)
    aws.run(2)
    sync.minute()
    aws.change(task, containers=[{"name": "app", "lastStatus": "STOPPED", "exitCode": 137}])
    sync.minute()
    generation = read_index(aws.parameters[INDEX]).generation
    assert (len(sync.serving()), cause(aws).stops) == (1, (Stop(task, ""),))
    # WHEN ECS stops it, THEN its reason is in the index of the same generation
    aws.stop(task, "DEPROVISIONING")
    aws.change(task, **DIED)
    sync.handle(aws.event(task, **DIED)) if by_event else sync.minute()
    assert read_index(aws.parameters[INDEX]).generation == generation
    assert cause(aws).stops[0].reason.startswith("Essential container in task exited")
    # AND that is written once
    aws.requests.clear()
    sync.minute()
    sync.restart()
    sync.minute()
    assert aws.written() == []


def test_the_same_content_with_another_cause_writes_nothing(aws: FakeAws, sync: Sync) -> None:
    task = aws.run(1)
    sync.minute()
    text = aws.parameters[INDEX]
    aws.requests.clear()
    aws.change(task)
    sync.handle(aws.event(task))
    sync.minute()
    sync.restart()
    sync.handle({})
    assert aws.written() == []
    assert aws.parameters[INDEX] == text


def test_a_refused_label_and_a_lost_route_are_in_the_document_and_go_with_their_tasks(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a service that asks for the routes of another, and a label that cannot be applied
    aws.run(1)
    sync.minute()
    aws.define("copy", labels=LABELS | {"grpc-lb.service": "copy"})
    aws.define("bad", labels=LABELS | {"grpc-lb.port": "http"})
    copy, bad = aws.run(2, family="copy", service="copy"), aws.run(3, family="bad", service="bad")
    # WHEN their events come
    sync.handle(aws.event(copy), aws.event(bad))
    # THEN the document says both
    notes = sync.document().diagnostics
    assert notes.shadowed == (ShadowedRoute("host * and gRPC service *", "rng", "copy"),)
    [refusal] = notes.rejected_labels
    assert (refusal.family, refusal.revision, refusal.label, refusal.value) == ("bad", 1, "grpc-lb.port", "http")
    assert "must be" in refusal.problem
    # AND when they are gone, so are the notes
    del aws.tasks[copy], aws.tasks[bad]
    sync.minute()
    assert sync.document().diagnostics == Diagnostics()


def test_a_label_refused_alone_is_published_with_its_event(aws: FakeAws, sync: Sync) -> None:
    aws.define("bad", labels=LABELS | {"grpc-lb.port": "http"})
    bad = aws.run(3, family="bad", service="bad")
    sync.handle(aws.event(bad))
    assert (sync.document().services, sync.document().diagnostics.rejected_count) == ((), 1)
    assert cause(aws).tasks[0].task == bad


def test_notes_never_cost_a_target_its_place(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a fleet that fills the document, but for the notes
    monkeypatch.setattr("grpc_lb_contract.document.shards.MAX_PARAMETER_BYTES", 300)
    monkeypatch.setattr("grpc_lb_contract.document.shards.CUT_FROM_BYTES", 150)
    rejected = [RejectedLabel("rng", number, "grpc-lb.port", "0" * 99, "must be 1..65535") for number in range(40)]
    count = max(n for n in range(10, 60) if _fits(fleet(0, n)) and not _fits(_noted(fleet(0, n), rejected)))
    document = _noted(fleet(0, count), rejected)
    store = ParameterStore(aws.client("ssm"), PREFIX)
    # WHEN it is published, THEN the targets are there, and publishing it again writes nothing
    assert store.publish(document, store.read()).writes > 0
    assert read(aws) == fleet(0, count)
    assert store.publish(document, store.read()).writes == 0
    assert store.read().generation == generation_of(fleet(0, count))


def _noted(document: Document, rejected: list[RejectedLabel]) -> Document:
    return Document(document.services, Diagnostics.of(rejected, ()))


def _fits(document: Document) -> bool:
    try:
        pack(document, prefix=PREFIX, serial=round(time.time() * 1000))  # as the Lambda's index has them
    except DocumentTooLarge:
        return False
    return True


def test_why_a_target_leaves_whose_task_goes_on_is_in_the_index(aws: FakeAws, sync: Sync) -> None:
    # GIVEN two healthy tasks, WHEN the health check of one begins to fail, of which ECS sends no event
    aws.define("rng", healthCheck={"command": ["CMD", "true"]})
    sick, other = (aws.run(number, containers=[{"name": "app", "healthStatus": "HEALTHY"}]) for number in (1, 2))
    sync.minute()
    aws.change(sick, containers=[{"name": "app", "healthStatus": "UNHEALTHY"}])
    sync.minute()
    # THEN it is gone, and the index says why
    assert sync.serving() == {other}
    assert cause(aws).reasons == {sick: "its health check in ECS fails (container app)"}
