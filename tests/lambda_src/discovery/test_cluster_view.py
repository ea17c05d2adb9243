"""A large cluster is listed once a minute; ECS's contradictions take no target away at once."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest

from lambda_src.discovery.cluster_view import BELIEVED_AFTER_SECONDS
from tests.lambda_src.conftest import Lines, Sync
from tests.lambda_src.fake_aws import Answer, FakeAws, Json, task_arn


def fleet(aws: FakeAws, count: int) -> set[str]:
    return {aws.run(number) for number in range(count)}


class Forgetful:
    """An ECS that lists its tasks, and does not know some of them when it is asked."""

    def __init__(self, aws: FakeAws, forgotten: set[str]) -> None:
        self._aws = aws
        self.forgotten = forgotten
        aws.spoil = self._answer

    def _answer(self, operation: str, parameters: Json) -> Answer | None:
        if operation != "DescribeTasks":
            return None
        known = [task for task in parameters["tasks"] if task not in self.forgotten]
        missing = [{"arn": task_arn(task), "reason": "MISSING"} for task in parameters["tasks"] if task not in known]
        return 200, {"tasks": [self._aws.tasks[task] for task in known], "failures": missing}


def test_a_large_cluster_is_asked_about_the_tasks_of_events_alone_between_two_minutes(aws: FakeAws, sync: Sync) -> None:
    tasks = fleet(aws, 250)
    sync.minute()
    aws.requests.clear()
    # WHEN a task stops and another starts
    stopping = min(tasks)
    aws.stop(stopping)
    new = aws.run(999)
    sync.handle(aws.event(stopping), aws.event(new))
    # THEN one call asks for both, and the document has them
    assert aws.operations("ListTasks", "DescribeTasks") == ["DescribeTasks"]
    assert (sync.serving(), sync.draining()) == (tasks - {stopping} | {new}, {stopping})
    # AND what no event told is found within a minute
    quiet = aws.run(1000)
    sync.minute()
    assert quiet in sync.serving()


@pytest.mark.parametrize(("seconds_late", "found"), [(2, 10), (10, 20)])
def test_where_events_have_waited_one_listing_finds_all_that_they_tell(
    seconds_late: int, found: int, aws: FakeAws, sync: Sync
) -> None:
    # GIVEN a large cluster that was listed ten seconds ago, of which twenty tasks were told to stop since
    tasks = fleet(aws, 150)
    sync.minute()
    sync.time.now += 10
    stopping = sorted(tasks)[:20]
    for task in stopping:
        aws.stop(task)
    at = datetime.fromtimestamp(sync.time.now - seconds_late, UTC).isoformat()
    events = [aws.event(task) | {"time": at} for task in stopping]
    # WHEN the queue hands over the first ten of their events
    sync.handle(*events[:10])
    # THEN all of them drain where the events are old, so that a queue of hundreds is over at once
    assert sync.draining() == set(stopping[:found])
    aws.requests.clear()
    sync.handle(*events[10:])
    assert sync.draining() == set(stopping)
    assert (aws.operations() == []) is (found == 20)


def test_without_the_minute_rule_events_list_a_large_cluster_again(aws: FakeAws, sync: Sync) -> None:
    fleet(aws, 150)
    sync.minute()
    quiet = aws.run(999)
    sync.time.now += 120
    new = aws.run(1000)
    sync.handle(aws.event(new))
    assert {quiet, new} <= sync.serving()


def test_a_listing_of_a_large_cluster_that_is_behind_about_a_task_of_no_event_is_made_again(
    aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    # GIVEN a large cluster, and a task whose stop is known
    stopping = min(fleet(aws, 150))
    sync.minute()
    before = copy.deepcopy(aws.tasks[stopping])
    aws.stop(stopping)
    sync.handle(aws.event(stopping))
    # WHEN another's event has all of it listed, and ECS describes the first as it was before
    sync.time.now += 120
    new = aws.run(999)
    stale = iter([before])

    def answer(operation: str, parameters: Json) -> Answer | None:
        if operation != "DescribeTasks" or stopping not in parameters["tasks"]:
            return None
        tasks = aws.tasks | {stopping: next(stale, aws.tasks[stopping])}
        return 200, {"tasks": [tasks[task] for task in parameters["tasks"]], "failures": []}

    aws.spoil = answer
    sync.handle(aws.event(new))
    # THEN it is listed once more, and the refresh ends well
    assert new in sync.serving()
    assert sync.draining() == {stopping}
    assert logged.about("refresh failed, trying again") == []


def test_a_service_of_a_large_cluster_whose_last_target_is_gone_is_confirmed_by_a_listing(
    aws: FakeAws, sync: Sync
) -> None:
    fleet(aws, 150)
    only = aws.run(999, family="one", service="one")
    sync.minute()
    aws.requests.clear()
    event = aws.event(only, desiredStatus="STOPPED", lastStatus="STOPPED", version=9)
    del aws.tasks[only]
    sync.handle(event)
    assert sync.serving("one") == set()
    assert aws.operations("ListTasks").count("ListTasks") == 2  # its two pages


def test_a_stop_that_ecs_and_its_event_tell_needs_no_second_listing(aws: FakeAws, sync: Sync) -> None:
    fleet(aws, 150)
    only = aws.run(999, family="one", service="one")
    sync.minute()
    aws.requests.clear()
    aws.stop(only)
    sync.handle(aws.event(only))
    assert (sync.serving("one"), sync.draining("one")) == (set(), {only})
    assert aws.operations("ListTasks", "DescribeTasks") == ["DescribeTasks"]


def test_half_the_fleet_missing_is_not_believed_until_it_has_lasted(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    # GIVEN 30 serving tasks, half of which ECS lists and does not describe
    tasks = fleet(aws, 30)
    sync.minute()
    before = dict(aws.parameters)
    ecs = Forgetful(aws, set(sorted(tasks)[:15]))
    # WHEN refresh after refresh meets that, also of a new process
    for _ in range(4):
        sync.restart()
        sync.minute()
    # THEN all serve on
    assert aws.parameters == before
    assert logged.about("tasks listed but not described")[0]["count"] == 15
    # AND when ECS has said so for five minutes, those leave
    for _ in range(int(BELIEVED_AFTER_SECONDS / 60) + 1):
        sync.minute()
        sync.time.now += 60
    assert sync.serving() == tasks - ecs.forgotten
    # AND when ECS knows them again, they are back
    ecs.forgotten = set()
    sync.minute()
    assert sync.serving() == tasks


def test_all_tasks_missing_takes_no_target_away(aws: FakeAws, sync: Sync) -> None:
    tasks = fleet(aws, 5)
    sync.minute()
    Forgetful(aws, set(tasks))
    for _ in range(3):
        sync.minute()
        sync.time.now += 60
    assert sync.serving() == tasks


def test_a_missing_task_that_is_told_to_stop_drains_and_a_new_one_comes(aws: FakeAws, sync: Sync) -> None:
    # GIVEN two tasks that ECS lists and does not describe
    tasks = sorted(fleet(aws, 3))
    sync.minute()
    Forgetful(aws, set(tasks[:2]))
    # WHEN the event of a stop comes for one of them, and a new task starts
    new = aws.run(9)
    sync.handle(aws.event(tasks[0], desiredStatus="STOPPED", version=9), aws.event(new))
    # THEN it drains, the other serves on, and the new one serves
    assert sync.draining() == {tasks[0]}
    assert sync.serving() == {tasks[1], tasks[2], new}


def test_a_task_that_neither_list_nor_description_knows_leaves_as_ever(aws: FakeAws, sync: Sync) -> None:
    tasks = sorted(fleet(aws, 3))
    sync.minute()
    del aws.tasks[tasks[0]]
    sync.minute()
    assert sync.serving() == set(tasks[1:])


def test_a_new_task_that_ecs_lists_and_does_not_know_holds_up_nobodys_events(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a new task whose event came, which ECS lists and does not describe for minutes
    served = aws.run(1)
    sync.minute()
    new = aws.run(2)
    ecs = Forgetful(aws, {new})
    # WHEN its event is handled, THEN that ends within seconds and fails nothing, so that the queue goes on
    started = sync.time.now
    sync.handle(aws.event(new))
    assert sync.time.now - started < 10
    assert sync.serving() == {served}
    # AND once ECS describes it, the next minute lists it
    ecs.forgotten = set()
    sync.minute()
    assert sync.serving() == {served, new}


def test_a_list_that_names_tasks_twice_is_read_as_one(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a list of three pages whose tasks moved on while it was read: each page repeats half of the one before
    tasks = sorted(fleet(aws, 200))

    def repeat(operation: str, parameters: Json) -> Answer | None:
        if operation != "ListTasks":
            return None
        start = int(parameters.get("nextToken", 0))
        more = {"nextToken": str(start + 50)} if start < 100 else {}
        return 200, {"taskArns": [task_arn(task) for task in tasks[start : start + 100]], **more}

    aws.spoil = repeat
    sync.minute()
    assert sync.serving() == set(tasks)
    described = [one for operation, asked in aws.requests if operation == "DescribeTasks" for one in asked["tasks"]]
    assert sorted(described) == tasks
