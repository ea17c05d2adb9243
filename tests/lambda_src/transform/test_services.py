"""A service is built again when one of its members is another, and only then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grpc_lb_contract import Registration
from lambda_src.discovery.tasks import Container, Task, TaskDefinition
from lambda_src.transform import services
from lambda_src.transform.health import TargetStage
from lambda_src.transform.services import Member, ServiceCache
from tests.lambda_src.conftest import Sync
from tests.lambda_src.fake_aws import FakeAws, definition_arn, task_name

DEFINITION = TaskDefinition("rng", 1, (Container("app", {}, (50051,), health_checked=False),))


def member(number: int, service: str, **changes: object) -> Member:
    task = Task(
        id=task_name(number),
        definition=definition_arn("rng"),
        service=service,
        version=1,
        last_status="RUNNING",
        desired_status="RUNNING",
        zone="eu-west-1a",
        address=f"10.0.0.{number}",
        started_at=None,
        healthy=frozenset(),
    )
    registration = Registration(service=service, port=50051)
    return replace(Member(task, DEFINITION, registration, TargetStage.SERVING), **changes)  # type: ignore[arg-type]


def test_of_many_services_the_one_that_changed_is_built_again() -> None:
    cache = ServiceCache()
    orders, users = [member(1, "orders"), member(2, "orders")], [member(3, "users")]
    (first, second), _ = cache.build([*orders, *users])
    # WHEN the same is listed again, in objects of its own, with one member that drains
    drains = member(1, "orders", stage=TargetStage.DRAINING)
    (again, same), _ = cache.build([drains, member(2, "orders"), member(3, "users")])
    assert same is second
    assert again != first
    assert again == ServiceCache().build([drains, orders[1]])[0][0]


def test_a_task_that_cannot_be_a_target_is_told_of_each_time() -> None:
    cache = ServiceCache()
    without = replace(member(1, "orders").task, address=None)
    for _ in range(2):
        (service,), skipped = cache.build([member(1, "orders", task=without)])
        assert service.targets == ()
        assert {one.task for one in skipped} == {without.id}


def test_a_service_that_left_is_forgotten() -> None:
    cache = ServiceCache()
    (first,), _ = cache.build([member(1, "orders")])
    assert cache.build([])[0] == ()
    (again,), _ = cache.build([member(1, "orders")])
    assert again == first
    assert again is not first


def test_a_refresh_for_one_stop_builds_the_service_of_that_task(
    aws: FakeAws, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [aws.run(number, family=f"s{number}", service=f"s{number}") for number in range(30)]
    sync.minute()
    built: list[str] = []
    build = services._build

    def counting(name: str, members: list[Member]) -> services._Built:
        built.append(name)
        return build(name, members)

    monkeypatch.setattr(services, "_build", counting)
    # WHEN a task stops, and the minute rule lists all again
    aws.stop(tasks[7])
    sync.handle(aws.event(tasks[7]))
    sync.minute()
    # THEN 29 of 30 services were not built again
    assert built == ["s7"]
    assert sync.draining("s7") == {tasks[7]}
