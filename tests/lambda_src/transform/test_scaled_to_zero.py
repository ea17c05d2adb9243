"""A service without any task keeps its routes while an ECS service stands behind it."""

from __future__ import annotations

import pytest

from grpc_lb_contract import Group, Route, index_parameter
from tests.lambda_src.conftest import Lines, Sync
from tests.lambda_src.fake_aws import LABELS, PREFIX, FakeAws, failure, task_name

ALL = (Route(),)


def routes(sync: Sync) -> dict[str, tuple[Route, ...]]:
    return {service.name: service.routes for service in sync.document().services}


def serve_and_stop(aws: FakeAws, sync: Sync, ecs_service: str = "rng", **task: str) -> None:
    """A service serves, all its tasks stop, and a rival with an earlier name asks for the same calls."""
    aws.services[ecs_service] = "ACTIVE"
    name = aws.run(1, service=ecs_service, **task)
    sync.minute()
    aws.stop(name, "STOPPED")
    aws.run(2, family="a-rival", service="a-rival")
    sync.minute()


def test_invariant_11_a_service_scaled_to_nothing_keeps_its_routes(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    # GIVEN a service whose tasks are all gone, while ECS still has the service
    serve_and_stop(aws, sync)
    # THEN its calls find no target, and go to no other service, in this process and the next
    for _ in range(2):
        assert routes(sync) == {"rng": ALL, "a-rival": ()}
        assert (sync.serving(), sync.draining()) == (set(), set())
        sync.restart()
        sync.minute()
    assert logged.about("route shadowed")[-1]["holder"] == "rng"
    assert logged.about("refresh")[-1]["services_without_tasks"] == 1
    # AND when its tasks come again, they serve by them
    aws.run(3)
    sync.minute()
    assert routes(sync) == {"rng": ALL, "a-rival": ()}
    assert sync.serving() == {task_name(3)}


@pytest.mark.parametrize("status", ["INACTIVE", "DRAINING", None])
def test_a_service_goes_with_its_ecs_service(status: str | None, aws: FakeAws, sync: Sync) -> None:
    serve_and_stop(aws, sync)
    if status is None:
        del aws.services["rng"]
    else:
        aws.services["rng"] = status
    sync.minute()
    assert routes(sync) == {"a-rival": ALL}


def test_invariant_7_that_an_ecs_service_is_gone_is_not_believed_unless_it_is_said_twice(
    aws: FakeAws, sync: Sync
) -> None:
    serve_and_stop(aws, sync)
    del aws.services["rng"]
    sync.time.after(0.1, lambda: aws.services.update(rng="ACTIVE"))
    sync.minute()
    assert routes(sync) == {"rng": ALL, "a-rival": ()}


def test_a_crash_loop_in_ecss_back_off_keeps_the_routes(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a service whose tasks stop and start, so that at first none serves and then none is there
    aws.services["Rng_1"] = "ACTIVE"
    first = aws.run(1, service="Rng_1")
    sync.minute()
    aws.stop(first, "STOPPED")
    second = aws.run(2, service="Rng_1", lastStatus="PENDING", attachments=[])
    aws.run(3, family="a-rival", service="a-rival")
    sync.minute()
    assert sync.document().services[1].groups == (Group("Rng_1"),)
    aws.stop(second, "STOPPED")
    sync.minute()
    # THEN it still has its routes, and the ECS service by which that is known
    assert routes(sync) == {"rng-1": ALL, "a-rival": ()}
    assert sync.document().services[1].groups == (Group("Rng_1"),)


def test_a_task_family_without_an_ecs_service_is_gone_with_its_tasks(aws: FakeAws, sync: Sync) -> None:
    name = aws.run(1, service=None)
    sync.minute()
    aws.stop(name, "STOPPED")
    sync.minute()
    assert routes(sync) == {}


def test_an_ecs_service_whose_tasks_have_another_label_holds_nothing_by_the_old_one(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a service that is given another logical name
    aws.services["ecs"] = "ACTIVE"
    aws.define("old", labels={**LABELS, "grpc-lb.service": "old"})
    aws.define("new", labels={**LABELS, "grpc-lb.service": "new"})
    old = aws.run(1, family="old", service="ecs")
    sync.minute()
    # WHEN a deployment has replaced its tasks, THEN the new name has the calls
    aws.run(2, family="new", service="ecs")
    aws.stop(old, "STOPPED")
    sync.minute()
    assert routes(sync) == {"new": ALL}
    assert "DescribeServices" not in aws.operations()


def test_only_what_vanished_is_asked_about_ten_at_a_time(aws: FakeAws, sync: Sync) -> None:
    names = [f"s{number}" for number in range(12)]
    aws.services = dict.fromkeys(names, "ACTIVE")
    for number, name in enumerate(names):
        aws.run(number, family=name, service=name)
    stays = aws.run(100, family="stays", service="stays")
    sync.minute()
    assert "DescribeServices" not in aws.operations()
    aws.tasks = {stays: aws.tasks[stays]}
    sync.minute()
    aws.requests.clear()
    sync.minute()
    asked = [parameters["services"] for operation, parameters in aws.requests if operation == "DescribeServices"]
    assert [len(chunk) for chunk in asked] == [10, 2]
    assert len(routes(sync)) == 13


def test_where_ecs_says_nothing_the_routes_stay_and_no_target_waits(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    aws.spoil = lambda operation, _: failure("AccessDeniedException") if operation == "DescribeServices" else None
    serve_and_stop(aws, sync)
    assert routes(sync) == {"rng": ALL, "a-rival": ()}
    assert sync.serving("a-rival") == {task_name(2)}
    assert logged.about("ecs services not described")[0]["services"] == ["rng"]


@pytest.mark.parametrize("text", [None, "half writ"])
def test_where_no_document_says_who_holds_a_route_that_is_told(
    text: str | None, aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    # GIVEN two services that ask for the same calls, of which the second by name has them
    aws.run(1)
    sync.minute()
    aws.run(2, family="a-rival", service="a-rival")
    sync.minute()
    assert routes(sync) == {"rng": ALL, "a-rival": ()}
    assert len(logged.about("route owners unknown")) == 1  # the first document of all
    # WHEN the document is shadowed, THEN the first by name has them, and the log says why
    if text is None:
        del aws.parameters[index_parameter(PREFIX)]
    else:
        aws.parameters[index_parameter(PREFIX)] = text
    sync.restart()
    sync.minute()
    assert routes(sync) == {"rng": (), "a-rival": ALL}
    assert logged.about("route owners unknown")[1:] == [{"unreadable": text is not None, "contested": 1}]
