"""The real handler and boto3, from records of the queue to parameters in SSM; only AWS's answers are made up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from grpc_lb_contract import UnknownFormat, index_parameter
from lambda_src.discovery.ecs_listing import ListingFailed
from lambda_src.refresh import EmptyNotConfirmed, EventsAheadOfListing
from tests.lambda_src.conftest import Context, Lines, Sync
from tests.lambda_src.fake_aws import PREFIX, Answer, FakeAws, Json, failure, task_arn, task_name


def test_a_running_task_is_published_from_its_event(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a task of an ECS service, WHEN its event comes, THEN it serves under its address, port, zone and group
    task = aws.run(1, service="Rng_Blue")
    sync.handle(aws.event(task))
    [service] = sync.document().services
    [target] = service.targets
    assert (service.name, target.ip, target.port, target.zone) == ("rng-blue", "10.0.0.1", 50051, "eu-west-1a")
    assert (target.group, target.task) == ("Rng_Blue", task)


def test_a_task_that_no_service_runs_stands_for_its_family(aws: FakeAws, sync: Sync) -> None:
    aws.run(1, family="batch", service=None)
    sync.minute()
    assert [group.name for group in sync.document().services[0].groups] == ["batch"]


def test_a_task_that_the_list_does_not_show_yet_is_described_because_its_event_names_it(
    aws: FakeAws, sync: Sync
) -> None:
    task = aws.run(1)
    aws.listed = lambda name: False
    sync.handle(aws.event(task))
    assert sync.serving() == {task}


def test_what_is_published_already_is_not_written_again(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a published document
    aws.run(1)
    sync.minute()
    before, writes = dict(aws.parameters), len(aws.written())
    # WHEN this process and a new one refresh again
    sync.minute()
    sync.restart()
    sync.minute()
    # THEN nothing is written
    assert len(aws.written()) == writes == 1
    assert aws.parameters == before


# Invariant 1


@pytest.mark.parametrize("operation", ["ListTasks", "DescribeTasks"])
def test_invariant_1_a_failed_page_publishes_nothing(operation: str, aws: FakeAws, sync: Sync) -> None:
    # GIVEN a published fleet of several pages, of which another half comes
    for number in range(150):
        aws.run(number)
    sync.minute()
    before = dict(aws.parameters)
    for number in range(150, 300):
        aws.run(number, family="rng-new")

    # WHEN one page of it fails
    def fail_one_page(asked: str, parameters: Json) -> Answer | None:
        first = "nextToken" not in parameters and task_name(0) not in parameters.get("tasks", ())
        return failure("ServerException") if asked == operation and (operation != "ListTasks" or not first) else None

    aws.spoil = fail_one_page
    with pytest.raises(ClientError, match=operation):
        sync.minute()
    # THEN the last good document stays, however often the invocation tries
    assert aws.parameters == before
    assert 45 < sum(sync.time.slept) <= 55
    # AND once ECS answers, all is published
    aws.spoil = lambda asked, parameters: None
    sync.minute()
    assert len(sync.serving()) == 300


def test_invariant_1_a_task_that_ecs_fails_to_describe_publishes_nothing(aws: FakeAws, sync: Sync) -> None:
    sync.minute()
    before = dict(aws.parameters)
    tasks = [aws.run(1), aws.run(2)]
    aws.spoil = lambda operation, parameters: (
        (200, {"tasks": [aws.tasks[tasks[0]]], "failures": [{"arn": task_arn(tasks[1]), "reason": "INTERNAL"}]})
        if operation == "DescribeTasks"
        else None
    )
    with pytest.raises(ListingFailed, match=r"got \{'0+2': 'INTERNAL'\}"):
        sync.minute()
    assert aws.parameters == before


def test_invariant_1_a_task_that_ecs_is_silent_about_publishes_nothing(aws: FakeAws, sync: Sync) -> None:
    sync.minute()
    before = dict(aws.parameters)
    aws.run(1)
    aws.spoil = lambda operation, _: (200, {"tasks": [], "failures": []}) if operation == "DescribeTasks" else None
    with pytest.raises(ListingFailed, match="got nothing about"):
        sync.minute()
    assert aws.parameters == before


def test_throttles_are_met_with_botocores_back_off(aws: FakeAws, sync: Sync) -> None:
    # GIVEN an AWS that throttles each operation's first two requests, WHEN a refresh runs, THEN it ends well
    aws.run(1)
    asked: list[str] = []

    def throttle_twice(operation: str, parameters: Json) -> Answer | None:
        asked.append(operation)
        return failure("ThrottlingException", "Rate exceeded") if asked.count(operation) <= 2 else None

    aws.spoil = throttle_twice
    sync.minute()
    assert sync.serving() == {task_name(1)}
    assert asked.count("PutParameter") == 3


# Invariant 3


def test_invariant_3_late_and_repeated_events_cost_no_call(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    # GIVEN a listing that saw a task's fifth state
    task = aws.run(1, version=5)
    sync.handle(aws.event(task))
    calls = len(aws.requests)
    # WHEN events about that state and earlier ones come
    sync.handle(aws.event(task), aws.event(task, version=4, lastStatus="PENDING"))
    # THEN AWS is not asked
    assert len(aws.requests) == calls
    assert logged.about("nothing new")[0]["events"] == 2


def test_invariant_3_out_of_order_events_do_no_harm(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a task that was stopped and is gone from the document
    task, other = aws.run(1), aws.run(2)
    running = aws.event(task)
    sync.handle(running)
    aws.stop(task, "STOPPED")
    sync.handle(aws.event(task))
    assert sync.serving() == {other}
    # WHEN the event of its start comes late, to this process and to a new one
    sync.handle(running)
    sync.restart()
    sync.handle(running)
    # THEN the listing is the truth
    assert sync.serving() == {other}


@pytest.mark.parametrize("stale", ["a minute later", "with the minute rule", "for another task"])
def test_invariant_3_what_may_be_news_is_listed(stale: str, aws: FakeAws, sync: Sync) -> None:
    task = aws.run(1)
    sync.handle(aws.event(task))
    new = aws.run(2)
    if stale == "a minute later":
        sync.time.now += 61
        sync.handle(aws.event(task))
    elif stale == "with the minute rule":
        sync.minute()
    else:
        sync.handle(aws.event(task), aws.event(new))
    assert sync.serving() == {task, new}


def test_invariant_3_where_an_event_knows_a_newer_version_the_listing_is_read_again(aws: FakeAws, sync: Sync) -> None:
    # GIVEN an ECS that describes a task as it was, while its event knows that it runs
    task = aws.run(1, lastStatus="PENDING", version=2)
    sync.time.after(0.3, lambda: aws.change(task, lastStatus="RUNNING"))
    # WHEN the event comes
    sync.handle(aws.event(task, version=3, lastStatus="RUNNING"))
    # THEN the task serves as soon as ECS says so too, and the stale listing was not published
    assert sync.serving() == {task}
    assert len(aws.written()) == 1
    assert sum(sync.time.slept) < 0.6


def test_invariant_3_a_listing_that_stays_behind_is_published_and_its_events_come_again(
    aws: FakeAws, sync: Sync
) -> None:
    task, other = aws.run(1, lastStatus="PENDING", version=2), aws.run(2)
    published: list[set[str]] = []
    sync.time.after(5, lambda: published.append(sync.serving()))
    with pytest.raises(EventsAheadOfListing, match=task):
        sync.handle(aws.event(task, version=3, lastStatus="RUNNING"), aws.event(other))
    # THEN what ECS says is published, after 5 s at most, and the whole batch fails when its time is over
    assert published == [{other}]
    assert sync.serving() == {other}
    assert 45 < sum(sync.time.slept) <= 55
    # AND when it comes again, it is not taken for old
    aws.change(task, lastStatus="RUNNING")
    sync.handle(aws.event(task), aws.event(other))
    assert sync.serving() == {task, other}


def test_invariant_3_a_task_that_ecs_does_not_know_yet_is_waited_for(aws: FakeAws, sync: Sync) -> None:
    event = aws.event(task_name(1))
    sync.time.after(0.1, lambda: aws.run(1))
    sync.handle(event)
    assert sync.serving() == {task_name(1)}


def test_invariant_3_an_hour_old_event_of_a_forgotten_task_is_not_waited_for(aws: FakeAws, sync: Sync) -> None:
    sync.handle(aws.event(task_name(1)) | {"time": "2026-09-21T12:00:00Z"})
    assert sync.time.slept == []


def test_invariant_3_a_listing_older_than_the_one_before_is_read_again(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a process that saw a task's fifth state
    task, other = aws.run(1, version=5), aws.run(2)
    sync.minute()
    # WHEN an ECS host that is behind answers with the fourth
    aws.tasks[task] |= {"version": 4, "lastStatus": "ACTIVATING"}
    sync.time.after(0.1, lambda: aws.tasks[task].update(version=5, lastStatus="RUNNING"))
    sync.minute()
    # THEN that answer is not published
    assert sync.serving() == {task, other}
    assert len(aws.written()) == 1


def test_invariant_3_a_burst_of_events_is_one_refresh(aws: FakeAws, sync: Sync) -> None:
    # GIVEN the events of a deployment, that all happened before the first one is dealt with
    events = [aws.event(aws.run(number)) for number in range(20)]
    # WHEN they come in batches, as SQS hands them over, THEN only the first one lists
    for start in range(0, 20, 10):
        sync.handle(*events[start : start + 10])
    assert len(sync.serving()) == 20
    assert len(aws.operations("ListTasks")) == 1


# Invariant 4


@pytest.mark.parametrize("last_status", ["RUNNING", "DEACTIVATING", "STOPPING"])
def test_invariant_4_a_task_told_to_stop_is_draining(last_status: str, aws: FakeAws, sync: Sync) -> None:
    # GIVEN two serving tasks, WHEN one is told to stop, THEN it drains, by its event or without one
    stopping, other = aws.run(1), aws.run(2)
    sync.minute()
    aws.stop(stopping, last_status)
    sync.handle(aws.event(stopping))
    assert (sync.serving(), sync.draining()) == ({other}, {stopping})
    sync.minute()
    assert (sync.serving(), sync.draining()) == ({other}, {stopping})


@pytest.mark.parametrize("last_status", ["DEPROVISIONING", "STOPPED", None])
def test_invariant_4_a_task_whose_containers_have_stopped_is_gone(
    last_status: str | None, aws: FakeAws, sync: Sync
) -> None:
    stopping, other = aws.run(1), aws.run(2)
    sync.minute()
    if last_status is None:
        del aws.tasks[stopping]
    else:
        aws.stop(stopping, last_status)
    sync.minute()
    assert (sync.serving(), sync.draining()) == ({other}, set())


def test_invariant_4_a_stop_is_honoured_from_its_event_while_the_listing_is_behind(aws: FakeAws, sync: Sync) -> None:
    # GIVEN an ECS that calls a task running for another second after it was told to stop
    stopping, other = aws.run(1, version=5), aws.run(2)
    sync.minute()
    sync.time.after(1, lambda: aws.stop(stopping))
    drained: list[set[str]] = []
    sync.time.after(0.05, lambda: drained.append(sync.draining()))
    # WHEN the event comes
    sync.handle(aws.event(stopping, desiredStatus="STOPPED", version=6))
    # THEN it drains before ECS says so, and after
    assert drained == [{stopping}]
    assert (sync.serving(), sync.draining()) == ({other}, {stopping})


def test_invariant_4_a_draining_task_is_never_taken_for_serving_again(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a task that drains
    stopping, other = aws.run(1), aws.run(2)
    aws.stop(stopping)
    sync.handle(aws.event(stopping), aws.event(other))
    assert sync.draining() == {stopping}
    # WHEN a new process gets an answer from an ECS host that is behind
    aws.tasks[stopping] |= {"version": 3, "desiredStatus": "RUNNING"}
    sync.restart()
    sync.minute()
    # THEN it still gets no call
    assert (sync.serving(), sync.draining()) == ({other}, {stopping})


def test_invariant_4_draining_tasks_cost_no_further_call(aws: FakeAws, sync: Sync) -> None:
    tasks = [aws.run(number) for number in range(50)]
    sync.minute()
    aws.stop(tasks[0])
    aws.requests.clear()
    sync.handle(aws.event(tasks[0]))
    assert sync.draining() == {tasks[0]}
    assert sorted(aws.operations("ListTasks", "DescribeTasks")) == ["DescribeTasks", "ListTasks"]


# Invariant 5

CHECKED: Json = {"healthCheck": {"command": ["CMD", "true"]}}


def healthy(aws: FakeAws, task: str) -> Callable[[], None]:
    def become_healthy() -> None:
        # ECS raises no version, and sends no event
        aws.tasks[task]["containers"] = [{"name": "app", "healthStatus": "HEALTHY"}]

    return become_healthy


@pytest.mark.parametrize("health", ["UNKNOWN", "UNHEALTHY"])
def test_invariant_5_a_task_that_is_not_healthy_gets_no_call(health: str, aws: FakeAws, sync: Sync) -> None:
    aws.define("rng", **CHECKED)
    aws.run(1, containers=[{"name": "app", "healthStatus": health}, {"name": "sidecar", "healthStatus": "HEALTHY"}])
    well = aws.run(2, containers=[{"name": "app", "healthStatus": "HEALTHY"}])
    sync.minute()
    assert (sync.serving(), sync.draining()) == ({well}, set())


def test_invariant_5_a_young_task_serves_about_a_second_after_it_is_healthy(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a task that starts, and is healthy after 20 s, WHEN its event comes
    aws.define("rng", **CHECKED)
    young = aws.run(1, startedAt=sync.time.now)
    sync.time.after(20, healthy(aws, young))
    sync.handle(aws.event(young))
    # THEN it serves, without any other event
    assert sync.serving() == {young}
    assert sum(sync.time.slept) == pytest.approx(20, abs=1)
    assert max(sync.time.slept) <= 1


def test_invariant_5_stops_are_honoured_while_a_refresh_waits_for_health(aws: FakeAws, sync: Sync) -> None:
    aws.define("rng", **CHECKED)
    sick = aws.run(1, startedAt=sync.time.now)
    plain, stopping = aws.run(2, family="plain", service="plain"), aws.run(3, family="plain", service="plain")
    seen: list[tuple[set[str], set[str]]] = []
    sync.time.after(5, lambda: aws.stop(stopping))
    sync.time.after(6.9, lambda: seen.append((sync.serving("plain"), sync.draining("plain"))))
    sync.handle(aws.event(sick))
    assert seen == [({plain}, {stopping})]


def test_invariant_5_a_task_that_stays_sick_is_waited_for_40_s_and_then_minute_by_minute(
    aws: FakeAws, sync: Sync
) -> None:
    aws.define("rng", **CHECKED)
    sick = aws.run(1, startedAt=sync.time.now)
    sync.handle(aws.event(sick))
    assert 38 <= sum(sync.time.slept) <= 40
    # AND while it may still become healthy, its events are looked into
    sync.time.now += 1
    calls = len(aws.requests)
    sync.handle(aws.event(sick))
    assert len(aws.requests) > calls
    # AND six minutes after its start it is no longer waited for
    sync.time.now += 360
    sync.time.slept.clear()
    sync.minute()
    assert sync.time.slept == []


def test_invariant_5_a_backlog_waits_but_once_for_a_task_that_stays_sick(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a young task that is not healthy, and a backlog of events that all happened before
    aws.define("rng", **CHECKED)
    sick = aws.run(1, startedAt=sync.time.now)
    others = [aws.run(number, family="plain", service="plain") for number in range(2, 52)]
    events = [aws.event(task) for task in others]
    sync.handle(aws.event(sick), *events[:5])
    listings, slept = len(aws.operations("ListTasks")), sum(sync.time.slept)
    # WHEN the rest of it comes, batch after batch, in no time
    for start in range(5, 50, 5):
        sync.handle(*events[start : start + 5])
    # THEN it costs no listing and no time
    assert len(aws.operations("ListTasks")) == listings
    assert sum(sync.time.slept) == slept
    # AND those that come later list once a second, until the task is healthy
    for number, serving in enumerate((set[str](), {sick}), start=1):
        if serving:
            healthy(aws, sick)()
        sync.time.now += 1
        sync.handle(events[0])
        sync.handle(events[0])
        assert len(aws.operations("ListTasks")) == listings + number
        assert sum(sync.time.slept) == slept
        assert sync.serving() == serving
    # AND what is news is dealt with as ever
    aws.stop(others[0])
    sync.handle(aws.event(others[0]))
    assert sync.draining("plain") == {others[0]}


def test_invariant_5_waiting_for_health_ends_before_the_invocation_does(aws: FakeAws, sync: Sync) -> None:
    aws.define("rng", **CHECKED)
    aws.run(1, startedAt=sync.time.now)
    sync.handler({}, Context(sync.time, ends=sync.time.now + 20))
    assert 7 <= sum(sync.time.slept) <= 10


def test_invariant_5_waiting_for_health_keeps_the_rate_of_calls_low(aws: FakeAws, sync: Sync) -> None:
    aws.define("rng", **CHECKED)
    for number in range(1000):
        aws.run(number, startedAt=sync.time.now)
    sync.handler({}, Context(sync.time, ends=sync.time.now + 30))
    assert sum(sync.time.slept) > 10
    assert len(aws.operations("ListTasks", "DescribeTasks")) / sum(sync.time.slept) < 12


# Invariant 6


def health(status: str) -> list[Json]:
    return [{"name": "app", "healthStatus": status}, {"name": "sidecar"}]


@pytest.mark.parametrize("reading", ["UNKNOWN", "UNHEALTHY"])
def test_invariant_6_a_bad_health_reading_of_all_tasks_takes_no_target_away(
    reading: str, aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    # GIVEN a service whose tasks serve
    aws.define("rng", **CHECKED)
    tasks = {aws.run(number, containers=health("HEALTHY")) for number in (1, 2)}
    sync.minute()
    before = dict(aws.parameters)
    # WHEN ECS calls none of them healthy, in refresh after refresh and process after process
    for task in tasks:
        aws.change(task, containers=health(reading))
    for _ in range(2):
        sync.restart()
        sync.minute()
    # THEN all serve on, and each refresh says so once
    assert sync.serving() == tasks
    assert aws.parameters == before
    assert logged.about("health doubted") == [{"service": "rng", "count": 2}] * 2
    # AND told to stop, they stop
    for task in tasks:
        aws.stop(task)
    sync.minute()
    assert (sync.serving(), sync.draining()) == (set(), tasks)


def test_invariant_6_an_unhealthy_task_leaves_while_others_serve_and_an_unknown_one_stays(
    aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    aws.define("rng", **CHECKED)
    sick, unknown, well = (aws.run(number, containers=health("HEALTHY")) for number in (1, 2, 3))
    sync.minute()
    aws.change(sick, containers=health("UNHEALTHY"))
    aws.change(unknown, containers=health("UNKNOWN"))
    sync.minute()
    assert sync.serving() == {unknown, well}
    assert logged.about("health doubted") == [{"service": "rng", "count": 1}]
    # AND having left, it has to be healthy first, even where it is the last one
    for task in (unknown, well):
        aws.change(task, desiredStatus="STOPPED", lastStatus="STOPPED")
    aws.change(sick, containers=health("UNKNOWN"))
    sync.minute()
    assert sync.serving() == set()


def test_invariant_6_unhealthy_tasks_leave_once_another_is_healthy(aws: FakeAws, sync: Sync) -> None:
    aws.define("rng", **CHECKED)
    sick = aws.run(1, containers=health("HEALTHY"))
    sync.minute()
    aws.change(sick, containers=health("UNHEALTHY"))
    new = aws.run(2, containers=health("UNKNOWN"))
    sync.minute()
    assert sync.serving() == {sick}
    aws.change(new, containers=health("HEALTHY"))
    sync.minute()
    assert sync.serving() == {new}


# Invariant 7


def test_invariant_7_an_empty_list_is_not_believed_unless_the_next_one_agrees(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a serving fleet, and an ECS that for a moment knows no task at all
    tasks = {aws.run(1), aws.run(2)}
    sync.minute()
    before = dict(aws.parameters)
    hidden, aws.tasks = aws.tasks, {}
    sync.time.after(0.1, lambda: aws.tasks.update(hidden))
    # WHEN a refresh meets that moment, THEN nothing changes
    sync.minute()
    assert sync.serving() == tasks
    assert aws.parameters == before
    assert len(aws.written()) == 1


def test_invariant_7_an_empty_service_is_believed_when_two_listings_agree(aws: FakeAws, sync: Sync) -> None:
    # GIVEN two services, WHEN all tasks of one stop, and the minute's listing is the first to say so
    gone = aws.run(1)
    other = aws.run(2, family="other", service="other")
    sync.minute()
    aws.stop(gone, "STOPPED")
    aws.requests.clear()
    sync.minute()
    # THEN it is gone, after a second listing
    assert (sync.serving(), sync.serving("other")) == (set(), {other})
    assert len(aws.operations("ListTasks")) == 2


def test_invariant_7_listings_that_do_not_agree_keep_the_last_good_document(aws: FakeAws, sync: Sync) -> None:
    # GIVEN an ECS that with each list forgets the tasks of another service
    services = {f"s{number}": aws.run(number, family=f"s{number}", service=f"s{number}") for number in range(2)}
    sync.minute()
    before = dict(aws.parameters)
    everything = dict(aws.tasks)
    lists: list[str] = []

    def forget(operation: str, parameters: Json) -> Answer | None:
        if operation == "ListTasks":
            lists.append(operation)
            aws.tasks = {id_: task for id_, task in everything.items() if id_ != services[f"s{len(lists) % 2}"]}
        return None

    aws.spoil = forget
    # WHEN a refresh meets that, THEN it gives up when its time is over, and nothing has changed
    with pytest.raises(EmptyNotConfirmed):
        sync.minute()
    assert aws.parameters == before


def test_invariant_7_that_one_task_stops_says_nothing_of_another_that_a_listing_lacks(aws: FakeAws, sync: Sync) -> None:
    # GIVEN two tasks, of which one is told to stop, and an ECS that for a moment does not know the other
    stops, stays = aws.run(1), aws.run(2)
    sync.minute()
    aws.stop(stops)
    hidden = aws.tasks.pop(stays)
    sync.time.after(0.1, lambda: aws.tasks.update({stays: hidden}))
    # WHEN its event comes, THEN the other serves on, and was never gone
    sync.handle(aws.event(stops))
    assert (sync.serving(), sync.draining()) == ({stays}, {stops})
    assert len(aws.written()) == 2


def test_invariant_7_behind_an_unreadable_document_there_may_have_been_targets(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a document that cannot be read, and an ECS that for a moment knows no task
    aws.parameters[index_parameter(PREFIX)] = "half writ"
    sync.time.after(0.1, lambda: aws.run(1))
    sync.minute()
    assert sync.serving() == {task_name(1)}
    assert len(aws.written()) == 1


# 5,000 tasks


def test_a_refresh_of_5000_tasks_makes_100_calls_and_one_for_each_new_definition(aws: FakeAws, sync: Sync) -> None:
    for number in range(5000):
        aws.run(number, family=f"rng-{number % 3}")
    sync.minute()
    assert len(sync.serving()) == 5000
    calls = aws.operations("ListTasks", "DescribeTasks", "DescribeTaskDefinition")
    assert {name: calls.count(name) for name in set(calls)} == {
        "ListTasks": 50,
        "DescribeTasks": 50,
        "DescribeTaskDefinition": 3,
    }
    # AND the next one asks for no definition, reads no shard but those it checks, and writes nothing
    aws.requests.clear()
    sync.handle({"detail-type": "something else"})
    assert sorted(aws.operations()) == ["DescribeTasks"] * 50 + ["GetParameter"] + ["ListTasks"] * 50


# Logs


def test_a_refresh_logs_one_line_of_counts_and_durations(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    stopping = aws.run(1)
    aws.run(2)
    aws.stop(stopping)
    sync.handle(aws.event(stopping))
    [facts] = logged.about("refresh")
    assert (
        facts.items()
        >= {
            "events": 1,
            "oldest_event_seconds": 10.0,
            "tasks_listed": 1,
            "tasks_described": 2,
            "services": 1,
            "serving": 1,
            "draining": 1,
            "pending": 0,
            "labels_rejected": 0,
            "listings": 1,
            "ecs_calls": 3,
            "writes": 1,
            "changed": True,
            "generation_before": None,
        }.items()
    )
    assert {"list_ms", "describe_ms", "publish_ms", "total_ms", "generation_after"} <= facts.keys()


def test_a_refused_label_is_logged_once_a_refresh_however_many_tasks_have_it(
    aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    aws.define("bad", labels={"grpc-lb.enable": "true", "grpc-lb.port": "9"}, **CHECKED)
    aws.define("slow", **CHECKED)
    aws.run(0, family="slow", service="slow", startedAt=sync.time.now)
    for number in range(1, 101):
        aws.run(number, family="bad", service="bad")
    sync.minute()
    [facts] = logged.about("label rejected")
    assert facts == {
        "family": "bad",
        "revision": 1,
        "label": "grpc-lb.port",
        "value": "9",
        "problem": "must be one of the mapped ports 50051",
    }
    assert logged.about("refresh")[0]["listings"] > 1


def test_a_failed_refresh_is_logged_and_raised(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    aws.spoil = lambda operation, _: failure("AccessDeniedException") if operation == "ListTasks" else None
    with pytest.raises(ClientError):
        sync.minute()
    [facts] = logged.about("refresh failed")
    assert "AccessDenied" in facts["problem"]


# Garbage


@pytest.mark.parametrize(
    "garbage", ["", "not json", "[]", "null", "7", '{"detail-type": "ECS Task State Change"}', {"detail": {}}]
)
def test_garbage_in_the_queue_is_logged_and_harms_no_other_record(
    garbage: str | Json, aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    task = aws.run(1)
    sync.handle(garbage, aws.event(task))
    assert sync.serving() == {task}
    assert len(logged.about("event rejected")) == 1


def test_an_invocation_by_hand_refreshes(aws: FakeAws, sync: Sync) -> None:
    task = aws.run(1)
    sync.handler({}, Context(sync.time))
    assert sync.serving() == {task}


@pytest.mark.parametrize("operation", ["ListTasks", "DescribeTasks", "GetParameter", "PutParameter"])
def test_an_outage_of_20_s_is_over_for_the_document_within_seconds(
    operation: str, aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    # GIVEN an AWS of which one operation fails for 20 s, WHEN an event comes meanwhile
    task = aws.run(1)
    ends = sync.time.now + 20
    aws.spoil = lambda asked, _: failure("ServiceUnavailable") if asked == operation and sync.time.now < ends else None
    sync.handle(aws.event(task))
    # THEN the same invocation publishes it, and no record has to come again
    assert sync.serving() == {task}
    assert sync.time.now - ends <= 5
    assert logged.about("refresh failed") == []
    assert len(logged.about("refresh failed, trying again")) < 10


def test_what_time_does_not_heal_is_raised_at_once(aws: FakeAws, sync: Sync) -> None:
    aws.run(1)
    aws.parameters[index_parameter(PREFIX)] = '{"format":2,"generation":"0"}\n'
    with pytest.raises(UnknownFormat):
        sync.minute()
    assert sync.time.slept == []


@pytest.mark.parametrize("tasks", [1, 200])
def test_a_document_of_another_major_version_is_overwritten_once_its_index_is_deleted(
    tasks: int, aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    # GIVEN the document of a newer version, which no refresh overwrites
    newer = {index_parameter(PREFIX): '{"format":2,"generation":"0","shards":"00ff"}\n', f"{PREFIX}/shards/00ff": "new"}
    aws.parameters = dict(newer)
    running = {aws.run(number) for number in range(tasks)}
    for _ in range(2):
        with pytest.raises(UnknownFormat):
            sync.minute()
    assert aws.parameters == newer
    # WHEN its index is deleted, and the function is invoked by hand
    del aws.parameters[index_parameter(PREFIX)]
    sync.handler({}, Context(sync.time))
    # THEN the document is there, its owners by name, and the newer shards are gone where it has shards itself
    assert sync.serving() == running
    assert len(logged.about("route owners unknown")) == 1
    assert (f"{PREFIX}/shards/00ff" in aws.parameters) == (tasks == 1)
