"""The index announces changes of the targets, so that balancers poll fast while some are to be expected."""

from __future__ import annotations

import pytest

from grpc_lb_contract import Index, index_parameter, read_index
from lambda_src.transform.expected_changes import ANNOUNCED_SECONDS, EXPECTED_AFTER_SECONDS
from tests.lambda_src.conftest import Lines, Sync
from tests.lambda_src.fake_aws import NOW, PREFIX, FakeAws, task_name

HOUR_AGO = NOW - 3600
UNLABELLED = {"team": "batch"}


def index(aws: FakeAws) -> Index:
    return read_index(aws.parameters[index_parameter(PREFIX)])


def expects(sync: Sync) -> bool:
    return index(sync.aws).expects_changes(sync.time.now)


def test_a_fleet_at_rest_announces_nothing(aws: FakeAws, sync: Sync) -> None:
    aws.run(1, createdAt=HOUR_AGO, startedBy="ecs-svc/1")
    aws.run(2, createdAt=HOUR_AGO, startedBy="ecs-svc/1")
    sync.minute()
    assert index(aws).changes_expected_until is None


@pytest.mark.parametrize("last_status", ["PROVISIONING", "PENDING", "ACTIVATING"])
def test_a_task_that_starts_is_announced_until_it_serves(last_status: str, aws: FakeAws, sync: Sync) -> None:
    # GIVEN a fleet at rest, WHEN a task of it is about to start
    aws.run(1, createdAt=HOUR_AGO)
    sync.minute()
    generation = index(aws).generation
    new = aws.run(2, lastStatus=last_status, createdAt=NOW - 1, version=1)
    sync.handle(aws.event(new))
    # THEN the index announces changes, and the generation is the same
    assert expects(sync)
    assert index(aws).generation == generation
    # AND when it runs, the announcement is over
    aws.change(new, lastStatus="RUNNING")
    sync.handle(aws.event(new))
    assert sync.serving() == {task_name(1), new}
    assert index(aws).changes_expected_until is None


def test_a_task_that_stops_is_announced_until_it_is_gone(aws: FakeAws, sync: Sync) -> None:
    stopping = aws.run(1, createdAt=HOUR_AGO)
    aws.run(2, createdAt=HOUR_AGO)
    sync.minute()
    aws.stop(stopping, "DEACTIVATING")
    aws.tasks[stopping]["stoppingAt"] = NOW
    sync.handle(aws.event(stopping))
    assert expects(sync)
    aws.stop(stopping, "STOPPED")
    sync.handle(aws.event(stopping))
    assert index(aws).changes_expected_until is None


def test_a_task_that_waits_for_its_health_check_is_announced(aws: FakeAws, sync: Sync) -> None:
    aws.define("rng", healthCheck={"command": ["CMD", "true"]})
    aws.run(1, createdAt=NOW - 5, startedAt=NOW - 1)
    sync.minute()
    assert expects(sync)


@pytest.mark.parametrize("second", [{"startedBy": "ecs-svc/2"}, {"family": "rng-2"}])
def test_a_deployment_is_announced_between_its_steps(second: dict[str, str], aws: FakeAws, sync: Sync) -> None:
    # GIVEN tasks of two deployments of one ECS service, all running
    old = aws.run(1, createdAt=HOUR_AGO, startedBy="ecs-svc/1")
    aws.run(2, createdAt=NOW - 30, **{"startedBy": "ecs-svc/1", **second})
    sync.minute()
    assert expects(sync)
    # WHEN the old one is gone, THEN it is over
    del aws.tasks[old]
    sync.minute()
    assert index(aws).changes_expected_until is None


def test_two_ecs_services_that_back_one_service_are_no_deployment(aws: FakeAws, sync: Sync) -> None:
    aws.define("rng", labels={"grpc-lb.enable": "true", "grpc-lb.service": "rng"})
    aws.run(1, service="blue", createdAt=NOW - 60, startedBy="ecs-svc/1")
    aws.run(2, service="green", createdAt=NOW - 60, startedBy="ecs-svc/2")
    sync.minute()
    assert index(aws).changes_expected_until is None


@pytest.mark.parametrize(
    "changes",
    [
        {"lastStatus": "PENDING"},
        {"desiredStatus": "STOPPED", "stoppingAt": NOW},
        {"startedBy": "ecs-svc/2", "createdAt": NOW},
    ],
)
def test_tasks_without_our_labels_are_not_announced(changes: dict[str, str], aws: FakeAws, sync: Sync) -> None:
    aws.define("batch", labels=UNLABELLED)
    aws.run(1, createdAt=HOUR_AGO)
    aws.run(2, family="batch", service="batch", createdAt=HOUR_AGO)
    other = aws.run(3, family="batch", service="batch", **changes)
    sync.handle(aws.event(other))
    assert index(aws).changes_expected_until is None


@pytest.mark.parametrize(
    ("changes", "begun"),
    [
        ({"lastStatus": "PENDING"}, "createdAt"),
        ({"desiredStatus": "STOPPED"}, "stoppingAt"),
        ({"startedBy": "ecs-svc/2"}, "createdAt"),
    ],
)
def test_what_goes_on_for_a_quarter_of_an_hour_is_no_longer_announced(
    changes: dict[str, str], begun: str, aws: FakeAws, sync: Sync
) -> None:
    aws.run(1, createdAt=HOUR_AGO)
    stuck = aws.run(2, createdAt=HOUR_AGO)
    sync.minute()
    aws.change(stuck, **{**changes, begun: NOW})
    sync.handle(aws.event(stuck))
    assert expects(sync)
    # WHEN the minute rule looks at it, minute after minute
    while sync.time.now < NOW + EXPECTED_AFTER_SECONDS:
        sync.time.now += 60
        sync.minute()
    assert index(aws).changes_expected_until is None


def test_an_announcement_is_prolonged_while_it_lasts_and_seldom_written(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a task that takes eleven minutes to start
    aws.run(1, lastStatus="PENDING", createdAt=NOW)
    # WHEN it is refreshed each minute, by processes that come and go
    for _ in range(11):
        sync.restart()
        sync.minute()
        # THEN balancers poll fast all the time until the next refresh, and a minute more where that is late
        assert index(aws).expects_changes(sync.time.now + 119)
        sync.time.now += 60
    # AND the index was written but a few times
    assert len(aws.written()) <= 1 + 11 * 60 / (ANNOUNCED_SECONDS - 120)


def test_an_announcement_that_ended_by_itself_is_not_written_again(aws: FakeAws, sync: Sync) -> None:
    # GIVEN an index whose announcement is over, because no refresh came for long
    task = aws.run(1, lastStatus="PENDING", createdAt=NOW)
    sync.minute()
    sync.time.now += 2 * EXPECTED_AFTER_SECONDS
    writes = len(aws.written())
    # WHEN nothing is expected any more, THEN nothing is written
    sync.minute()
    assert not expects(sync)
    assert len(aws.written()) == writes
    assert aws.tasks[task]["lastStatus"] == "PENDING"


def test_the_cause_of_a_generation_stays_when_its_index_is_written_again(
    aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    task = aws.run(1, createdAt=HOUR_AGO)
    sync.handle(aws.event(task))
    cause = index(aws).cause
    new = aws.run(2, lastStatus="PENDING", createdAt=NOW)
    sync.restart()
    sync.handle(aws.event(new))
    assert expects(sync)
    assert index(aws).cause == cause
    assert len(logged.about("published")) == 1
    assert len(logged.about("changes announced")) == 1
    assert [facts["changed"] for facts in logged.about("refresh")] == [True, False]
