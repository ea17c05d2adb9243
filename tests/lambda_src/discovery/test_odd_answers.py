"""What ECS says otherwise than documented, or half way through a change, harms the one that it is about."""

from __future__ import annotations

from typing import Any

import pytest

from grpc_lb_contract import index_parameter, read_index
from tests.lambda_src.conftest import Lines, Sync
from tests.lambda_src.fake_aws import LABELS, PREFIX, Answer, FakeAws, Json, definition_arn, failure, interface


@pytest.mark.parametrize(
    "odd",
    [
        {"taskDefinitionArn": None},
        {"group": 7},
        {"version": "new"},
        {"lastStatus": {}},
        {"containers": [{"name": ["app"], "lastStatus": "STOPPED"}]},
    ],
)
def test_invariant_15_a_task_that_cannot_be_read_stays_as_it_was_and_harms_no_other(
    odd: Json, aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    # GIVEN two serving tasks, WHEN ECS describes one of them oddly, and a third starts
    task, other = aws.run(1), aws.run(2)
    sync.minute()
    aws.tasks[task] |= odd
    new = aws.run(3)
    sync.minute()
    # THEN the third serves, and the first still does, for the listing says no more of it than that it is there
    assert sync.serving() == {task, other, new}
    assert logged.about("task not readable")[0]["task"].endswith(task)


@pytest.mark.parametrize(
    "container",
    [
        {"dockerLabels": {"grpc-lb.enable": None}},
        {"dockerLabels": ["grpc-lb.enable"]},
        {"portMappings": [{"containerPort": "grpc"}]},
        {"name": {}},
    ],
)
def test_invariant_15_a_definition_that_cannot_be_read_harms_no_other(
    container: Json, aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    aws.define("odd")
    aws.definitions[definition_arn("odd")]["containerDefinitions"][0] |= container
    aws.run(1, family="odd", service="odd")
    other = aws.run(2)
    sync.minute()
    assert sync.serving() == {other}
    assert sync.document().service("odd") is None
    assert [facts["definition"] for facts in logged.about("task definition not readable")] == [definition_arn("odd")]
    assert logged.about("refresh failed, trying again") == []


def test_invariant_11_a_text_that_ssm_takes_for_another_parameter_holds_up_no_target(aws: FakeAws, sync: Sync) -> None:
    # GIVEN double braces in a label that is rejected, in one that is applied, and in why ECS stopped a task
    aws.define("odd", labels=LABELS | {"grpc-lb.weight": "{{ .Weight }}", "grpc-lb.metadata": "x-tenant={{{{ssm:a}}}}"})
    stopped = aws.run(1, family="odd", service="odd")
    aws.run(2, family="odd", service="odd")
    sync.minute()
    aws.stop(stopped)
    aws.change(stopped, stoppedReason="{{restart}}")
    other = aws.run(3)
    # WHEN the next refresh publishes
    sync.handle(aws.event(stopped), aws.event(other))
    # THEN the targets of all are there, and the texts as they were
    assert sync.serving() == {other}
    odd = sync.document().service("odd")
    assert odd is not None
    assert [str(condition) for route in odd.routes for condition in route.metadata] == ["x-tenant={{{{ssm:a}}}}"]
    assert [label.value for label in sync.document().diagnostics.rejected_labels] == ["{{ .Weight }}"]
    cause = read_index(aws.parameters[index_parameter(PREFIX)]).cause
    assert cause is not None
    assert "{{restart}}" in cause.reasons.values()


def attached(address: str, status: str) -> Json:
    return interface(address) | {"status": status}


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ({"attachments": [attached("10.9.9.9", "DELETED"), attached("10.0.0.1", "ATTACHED")]}, "10.0.0.1"),
        ({"attachments": [attached("10.9.9.9", "FAILED"), interface("10.0.0.1")]}, "10.0.0.1"),
        (
            {
                "attachments": [attached("10.9.9.9", "ATTACHED"), attached("10.0.0.1", "ATTACHED")],
                "containers": [{"name": "app", "networkInterfaces": [{"privateIpv4Address": "10.0.0.1"}]}],
            },
            "10.0.0.1",
        ),
    ],
    ids=["deleted", "failed", "the one that its container has"],
)
def test_of_several_interfaces_the_task_serves_at_the_one_that_it_has(
    described: Any, expected: str, aws: FakeAws, sync: Sync
) -> None:
    aws.run(1, **described)
    sync.minute()
    (service,) = sync.document().services
    assert [target.ip for target in service.targets] == [expected]


def test_a_page_token_that_expires_starts_the_listing_again(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a list of three pages, of which the second is refused once
    tasks = {aws.run(number) for number in range(250)}
    refused: list[str] = []

    def refuse(operation: str, parameters: Json) -> Answer | None:
        if operation != "ListTasks" or "nextToken" not in parameters or refused:
            return None
        refused.append(parameters["nextToken"])
        return failure("InvalidParameterException", "Invalid token")

    aws.spoil = refuse
    sync.minute()
    assert refused
    assert sync.serving() == tasks


@pytest.mark.parametrize("kind", ["/shards/", "/index", "/definitions/", "/"])
def test_parameters_that_someone_deletes_are_written_again(kind: str, aws: FakeAws, sync: Sync) -> None:
    for number in range(180):
        aws.run(number, family=f"s{number % 60}", service=f"s{number % 60}")
    sync.minute()
    before = sync.document()
    for name in [name for name in aws.parameters if kind in name]:
        del aws.parameters[name]
    # WHEN the minute comes, in a new process
    sync.restart()
    sync.time.now += 60
    sync.minute()
    assert sync.document() == before
    assert any("/definitions/" in name for name in aws.parameters)
