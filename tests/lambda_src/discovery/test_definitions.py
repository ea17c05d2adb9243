"""Task definitions are read within ECS's quota, once, and kept whatever happens next."""

from __future__ import annotations

import base64
import json
import zlib

import pytest
from botocore.exceptions import ClientError

from grpc_lb_contract import Index, index_parameter, read_index
from lambda_src.discovery.definitions import BURST, PER_SECOND
from tests.lambda_src.conftest import Context, Lines, Sync
from tests.lambda_src.fake_aws import PREFIX, Answer, FakeAws, Json, definition_arn, failure

SAVED = f"{PREFIX}/definitions/"


class Asked:
    """When each definition was asked for."""

    def __init__(self, aws: FakeAws, sync: Sync) -> None:
        self.times: list[float] = []
        self.arns: list[str] = []
        self._time = sync.time
        aws.spoil = self._see

    def _see(self, operation: str, parameters: Json) -> Answer | None:
        if operation == "DescribeTaskDefinition":
            self.times.append(self._time.now)
            self.arns.append(parameters["taskDefinition"])
        return None


def services(aws: FakeAws, count: int) -> None:
    for number in range(count):
        aws.run(number, family=f"s{number}", service=f"s{number}")


def saved(aws: FakeAws) -> list[str]:
    return [name for name in aws.parameters if name.startswith(SAVED)]


def of_batch_job(aws: FakeAws, number: int) -> str:
    """A stopped task, without any label, whose definition ECS does not describe any more."""
    aws.define("batch", labels={})
    return aws.run(number, family="batch", service=None, lastStatus="STOPPED", desiredStatus="STOPPED")


def gone(*families: str) -> Answer | None:
    return failure("ClientException", f"Unable to describe task definition {families}.")


def test_a_hundred_services_are_read_within_ecss_quota_in_about_three_seconds(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a hundred services, each with a task definition of its own, WHEN a new process meets them
    asked = Asked(aws, sync)
    services(aws, 100)
    started = sync.time.now
    sync.minute()
    # THEN it takes what ECS's quota takes, and ECS is never asked for more: 50 at once, 20 in each second
    assert len(sync.document().services) == 100
    assert asked.times[-1] - started <= (100 - BURST) / PER_SECOND + 0.5
    for at in asked.times:
        for seconds in (0.5, 1, 2):
            assert sum(at <= other < at + seconds for other in asked.times) <= BURST + PER_SECOND * seconds + 1


def test_a_refresh_that_is_cut_off_goes_on_where_it_stopped_whatever_dies_with_it(aws: FakeAws, sync: Sync) -> None:
    # GIVEN more definitions than one invocation can read, each time in a new process
    asked = Asked(aws, sync)
    services(aws, 400)
    invocations, incomplete = 0, True
    while incomplete:
        invocations += 1
        assert invocations < 6
        sync.restart()
        sync.handler({}, Context(sync.time, sync.time.now + 20))
        incomplete = read_index(aws.parameters[index_parameter(PREFIX)]).incomplete
    # THEN none was asked for twice, and all are there in the end
    assert invocations > 1
    assert len(asked.arns) == len(set(asked.arns)) == 400
    assert len(sync.document().services) == 400
    # AND a new process asks for none of them
    asked.arns.clear()
    sync.restart()
    sync.minute()
    assert asked.arns == []
    assert len(sync.document().services) == 400


def test_an_unfinished_refresh_raises_nothing_so_that_the_next_minute_goes_on(
    aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    services(aws, 300)
    sync.handler({}, Context(sync.time, sync.time.now + 14))
    [facts] = logged.about("refresh unfinished")
    assert facts["problem"].endswith("of 300 task definitions were read; the next refresh continues")
    # THEN what was read is published, and says that it is not all
    assert 50 < len(sync.document().services) < 300
    assert read_index(aws.parameters[index_parameter(PREFIX)]).incomplete


def indexes(aws: FakeAws) -> list[Index]:
    return [
        read_index(parameters["Value"])
        for operation, parameters in aws.requests
        if operation == "PutParameter" and parameters["Name"] == index_parameter(PREFIX)
    ]


def test_a_thousand_services_are_published_as_their_definitions_are_read(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a thousand services, WHEN a new process meets them, with nothing published yet
    services(aws, 1000)
    started, first = sync.time.now, list[float]()

    def see(operation: str, parameters: Json) -> Answer | None:
        if operation == "PutParameter" and parameters["Name"] == index_parameter(PREFIX):
            first.append(sync.time.now - started)
        return None

    aws.spoil = see
    sync.minute()
    # THEN the first of them are there within seconds, and all when ECS's quota is used up to the end
    assert first[0] < 3
    assert first[-1] - (1000 - BURST) / PER_SECOND < 5
    assert len(sync.document().services) == 1000
    # AND all but the last index say that services are missing; each shard is written about once
    assert [index.incomplete for index in indexes(aws)] == [True] * (len(first) - 1) + [False]
    written = [name for name in aws.written() if "/shards/" in name]
    assert len(written) < 2 * len(read_index(aws.parameters[index_parameter(PREFIX)]).shards)


def test_a_stop_does_not_wait_for_the_definitions_of_a_large_deployment(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a service that serves, and a deployment of 300 new services
    stops, stays = aws.run(5001), aws.run(5002)
    sync.minute()
    services(aws, 300)
    aws.stop(stops)
    seen: list[tuple[float, set[str], set[str], bool]] = []
    started = sync.time.now

    def see(operation: str, parameters: Json) -> Answer | None:
        if operation == "DescribeTaskDefinition":
            index = read_index(aws.parameters[index_parameter(PREFIX)])
            seen.append((sync.time.now - started, sync.draining(), sync.serving(), index.incomplete))
        return None

    aws.spoil = see
    # WHEN the stop is told, THEN the task drains long before all definitions are read, and nothing else left
    sync.handle(aws.event(stops))
    drained = next(at for at, draining, _, _ in seen if draining == {stops})
    assert drained <= 2 < seen[-1][0]
    assert all(stays in serving for _, _, serving, _ in seen)
    # AND such a document is no incomplete one: it has all that was there before
    assert not any(incomplete for *_, incomplete in seen)
    assert len(sync.document().services) == 301


def test_tasks_that_stop_while_definitions_are_read_for_long_leave_meanwhile(aws: FakeAws, sync: Sync) -> None:
    stops = aws.run(5001, family="a", service="a")
    services(aws, 500)
    sync.time.after(3, lambda: aws.stop(stops))
    draining: list[bool] = []

    def see(operation: str, parameters: Json) -> Answer | None:
        if operation == "DescribeTaskDefinition" and index_parameter(PREFIX) in aws.parameters:
            draining.append(sync.draining("a") == {stops})
        return None

    aws.spoil = see
    sync.minute()
    assert True in draining
    assert False in draining


def test_a_service_without_tasks_keeps_its_routes_while_the_definition_of_its_new_task_is_not_read(
    aws: FakeAws, sync: Sync
) -> None:
    # GIVEN a service that was scaled to nothing
    aws.services["rng"] = "ACTIVE"
    task = aws.run(1)
    sync.minute()
    aws.stop(task, "STOPPED")
    sync.minute()
    assert sync.document().service("rng") is not None
    # WHEN it gets a task of a new revision, whose definition ECS fails to describe
    revision = aws.define("rng", revision=2)
    new = aws.run(2)
    aws.change(new, taskDefinitionArn=revision)
    aws.spoil = lambda operation, _: failure("ServerException") if operation == "DescribeTaskDefinition" else None
    sync.handle(aws.event(new))
    # THEN it is still there, and serves once its definition can be read
    assert sync.document().service("rng") is not None
    aws.spoil = lambda operation, parameters: None
    sync.minute()
    assert sync.serving() == {new}


def test_throttles_slow_the_reading_and_fail_nothing(aws: FakeAws, sync: Sync) -> None:
    # GIVEN an account of whose quota others take most
    services(aws, 60)
    allowed = [sync.time.now]

    def throttle(operation: str, _: Json) -> Answer | None:
        if operation != "DescribeTaskDefinition":
            return None
        if sync.time.now < allowed[0]:
            return failure("ThrottlingException", "Rate exceeded")
        allowed[0] = sync.time.now + 0.25  # four a second are left
        return None

    aws.spoil = throttle
    sync.minute()
    assert len(sync.document().services) == 60


def test_a_small_fleet_needs_no_saved_definitions(aws: FakeAws, sync: Sync) -> None:
    services(aws, BURST)
    sync.minute()
    assert saved(aws) == []


@pytest.mark.parametrize(
    "spoilt",
    [
        "",
        "not base64",
        base64.b64encode(zlib.compress(b"[2,[]]")).decode(),
        "W10=",
        base64.b64encode(zlib.compress(b'[1,[["a","f",1e999,[]]]]')).decode(),
    ],
)
def test_saved_definitions_that_cannot_be_read_are_asked_for_again(spoilt: str, aws: FakeAws, sync: Sync) -> None:
    asked = Asked(aws, sync)
    services(aws, 60)
    sync.minute()
    assert len(saved(aws)) >= 1
    for name in saved(aws):
        aws.parameters[name] = spoilt or " "
    asked.arns.clear()
    sync.restart()
    sync.minute()
    assert len(asked.arns) == 60
    assert len(sync.document().services) == 60


def test_what_a_deployment_adds_is_saved_too_and_parameters_with_little_in_use_are_joined(
    aws: FakeAws, sync: Sync
) -> None:
    services(aws, 60)
    sync.minute()
    # WHEN deployment after deployment replaces one definition by its next revision
    for number in range(30):
        revision = aws.define(f"s{number}", revision=2)
        aws.change(list(aws.tasks)[number], taskDefinitionArn=revision)
        sync.minute()
    # THEN the parameters are few, and a new process asks for no definition
    assert len(saved(aws)) < 15
    assert all(len(aws.parameters[name]) <= 4096 for name in saved(aws))
    asked = Asked(aws, sync)
    sync.restart()
    sync.minute()
    assert asked.arns == []


def test_the_stop_of_a_one_off_job_whose_definition_is_gone_holds_up_nobody(
    aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    # GIVEN a serving task, and a job that ended, whose definition ECS does not describe any more
    serving, job = aws.run(1), of_batch_job(aws, 2)
    asked = Asked(aws, sync)
    sync.minute()
    # WHEN its event comes with that of a new task
    new = aws.run(3)
    sync.handle(aws.event(job), aws.event(new))
    # THEN nobody asked for the job's definition, and the new task serves at once
    assert definition_arn("batch") not in asked.arns
    assert sync.serving() == {serving, new}
    assert logged.about("refresh failed, trying again") == []
    assert sync.time.slept == []


def test_a_serving_task_whose_definition_is_gone_leaves_and_others_come(
    aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    # GIVEN two services that serve, of which a new process meets one whose definition is gone
    lost, other = aws.run(1, family="lost", service="lost"), aws.run(2)
    sync.minute()
    assert sync.serving("lost") == {lost}
    aws.services["lost"] = "INACTIVE"
    aws.spoil = lambda operation, parameters: (
        gone() if operation == "DescribeTaskDefinition" and "lost" in parameters["taskDefinition"] else None
    )
    new = aws.run(3)
    sync.restart()
    sync.handle(aws.event(new))
    # THEN it alone leaves
    assert (sync.serving("lost"), sync.serving()) == (set(), {other, new})
    assert logged.about("task definitions unreadable")[0]["definition"] == definition_arn("lost")
    assert logged.about("refresh failed, trying again") == []


def test_a_definition_that_ecs_fails_to_describe_holds_up_nobody(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a new task whose definition ECS fails to describe, again and again, another new task, and one that stops
    served, stops = aws.run(1), aws.run(4)
    sync.minute()
    broken = aws.run(2, family="broken", service="broken")
    new = aws.run(3, family="new", service="new")
    aws.stop(stops)
    aws.spoil = lambda operation, parameters: (
        failure("ServerException")
        if operation == "DescribeTaskDefinition" and "broken" in parameters["taskDefinition"]
        else None
    )
    # WHEN it is refreshed, THEN all but it is published, and the refresh ends within seconds
    started = sync.time.now
    sync.handle(aws.event(broken), aws.event(new), aws.event(stops))
    assert sync.time.now - started < 10
    assert (sync.serving(), sync.draining()) == ({served}, {stops})
    assert (sync.serving("new"), sync.serving("broken")) == ({new}, set())
    # AND once it can be described, the next event or minute lists it
    aws.spoil = lambda operation, parameters: None
    sync.handle(aws.event(broken))
    assert sync.serving("broken") == {broken}


def test_definitions_that_serve_are_never_passed_over(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a serving fleet, and an ECS that for minutes fails to describe its definitions to a new process
    served = {aws.run(1), aws.run(2)}
    sync.minute()
    aws.spoil = lambda operation, _: failure("ServerException") if operation == "DescribeTaskDefinition" else None
    sync.restart()
    for _ in range(3):
        with pytest.raises(ClientError):
            sync.minute()
    # THEN the last good document stays
    assert sync.serving() == served


def test_an_unlabelled_family_is_asked_for_once(aws: FakeAws, sync: Sync) -> None:
    # GIVEN an hourly job without labels
    asked = Asked(aws, sync)
    aws.run(1)
    aws.define("job", labels={})
    for hour in range(3):
        job = aws.run(10 + hour, family="job", service=None)
        sync.minute()
        aws.stop(job, "STOPPED")
        sync.handle(aws.event(job))
        del aws.tasks[job]
        sync.time.now += 3600
    assert asked.arns.count(definition_arn("job")) == 1


def test_the_definition_of_a_managed_daemon_is_not_asked_for(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    # GIVEN a managed daemon on a container instance of the cluster
    asked = Asked(aws, sync)
    task = aws.run(1)
    arn = definition_arn("agent").replace(":task-definition/", ":daemon-task-definition/")
    daemon = aws.run(2, family="agent", service=None, group="daemon:agent", taskDefinitionArn=arn)
    # WHEN its event comes
    sync.handle(aws.event(daemon))
    # THEN the others serve, and nobody looks for what is wrong with a definition
    assert sync.serving() == {task}
    assert asked.arns == [definition_arn("rng")]
    assert logged.about("task definitions unreadable") == []


def test_what_is_saved_holds_what_takes_part(aws: FakeAws, sync: Sync) -> None:
    services(aws, 60)
    sync.minute()
    records = [
        record
        for name in saved(aws)
        for record in json.loads(zlib.decompress(base64.b64decode(aws.parameters[name])))[1]
    ]
    assert sorted(arn for arn, *_ in records) == sorted(definition_arn(f"s{number}") for number in range(60))
