from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import Document, Group, Route, TargetState, assemble, pack, read_index
from lambda_src.discovery.tasks import Container, Task, TaskDefinition, task_from
from lambda_src.transform.document import Transformed, transform
from lambda_src.transform.health import TargetStage, stage_of
from tests.lambda_src.fake_aws import NOW, FakeAws, interface, task_name

LABELS = {"grpc-lb.enable": "true"}


def container(name: str = "app", mapped: int = 50051, *, health_checked: bool = False, **labels: str) -> Container:
    named = {f"grpc-lb.{label}": value for label, value in labels.items()}
    return Container(name, LABELS | named, (mapped,), health_checked)


def definition(family: str = "rng", *containers: Container, revision: int = 1) -> dict[str, TaskDefinition]:
    return {family: TaskDefinition(family, revision, containers or (container(),))}


def task(number: int = 1, definition: str = "rng", service: str | None = None, **changes: object) -> Task:
    made = Task(
        id=task_name(number),
        definition=definition,
        service=service,
        version=1,
        last_status="RUNNING",
        desired_status="RUNNING",
        zone="eu-west-1a",
        address=f"10.0.0.{number}",
        started_at=NOW - 1000,
        healthy=frozenset(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name the fields


def draft(
    tasks: list[Task], definitions: Mapping[str, TaskDefinition], previous: Document | None = None
) -> Transformed:
    return transform(tasks, definitions, previous=previous, told_to_stop=frozenset(), now=NOW)


def addresses(draft: Transformed, service: str = "rng") -> set[tuple[str, int]]:
    found = draft.document.service(service)
    return {(target.ip, target.port) for target in found.targets} if found is not None else set()


def test_each_labelled_container_of_a_task_is_a_registration() -> None:
    two = definition(
        "rng", container("a", 1001), container("b", 1002, service="admin"), Container("c", {}, (1,), False)
    )
    made = draft([task()], two)
    assert (addresses(made), addresses(made, "admin")) == ({("10.0.0.1", 1001)}, {("10.0.0.1", 1002)})


def test_ecs_services_that_name_one_logical_service_are_its_groups() -> None:
    blue = task(1, service="blue")
    green = task(2, service="green")
    made = draft([blue, green], definition("rng", container(service="rng")))
    [service] = made.document.services
    assert service.groups == (Group("blue"), Group("green"))
    assert {target.group: target.ip for target in service.targets} == {"blue": "10.0.0.1", "green": "10.0.0.2"}


def test_a_group_without_a_target_is_not_there() -> None:
    starting = task(2, service="green", last_status="PENDING")
    made = draft([task(1, service="blue"), starting], definition("rng", container(service="rng")))
    assert made.document.services[0].groups == (Group("blue"),)


def test_a_service_whose_tasks_all_start_keeps_its_name_and_routes_without_targets() -> None:
    made = draft([task(last_status="PENDING", address=None)], definition("rng", container(hosts="rng.local")))
    [service] = made.document.services
    assert (service.routes, service.targets) == ((Route("rng.local"),), ())
    assert made.skipped == ()


def test_during_a_deployment_calls_come_by_the_old_labels_and_the_new_ones() -> None:
    both = definition("old", container(service="rng", hosts="old")) | definition(
        "new", container(service="rng", hosts="new")
    )
    old, new = task(1, "old"), task(2, "new")
    assert draft([old, new], both).document.services[0].routes == (Route("new"), Route("old"))
    # AND once the old tasks are told to stop, only by the new ones
    old = replace(old, desired_status="STOPPED")
    assert draft([old, new], both).document.services[0].routes == (Route("new"),)


def test_a_task_without_an_address_is_skipped_and_told() -> None:
    made = draft([task(1, address=None), task(2)], definition())
    assert addresses(made) == {("10.0.0.2", 50051)}
    [skipped] = made.skipped
    assert skipped.task == task_name(1)
    assert "must have an IPv4 address" in skipped.problem


def test_the_address_of_a_container_counts_and_else_that_of_an_interface() -> None:
    aws = FakeAws()
    both = aws.tasks[aws.run(1, startedAt=datetime.fromtimestamp(NOW, UTC))]
    both["containers"] = [{"name": "app", "networkInterfaces": [{"privateIpv4Address": "10.9.9.9"}]}]
    assert task_from(both).address == "10.9.9.9"  # type: ignore[arg-type]  # as JSON
    assert task_from(both | {"containers": []}).address == "10.0.0.1"  # type: ignore[arg-type]
    assert task_from(both | {"attachments": []}).address == "10.9.9.9"  # type: ignore[arg-type]
    assert task_from(both | {"attachments": [interface("")], "containers": []}).address is None  # type: ignore[arg-type]


def test_a_healthy_sidecar_does_not_make_the_container_healthy() -> None:
    checked = definition("rng", container(health_checked=True))
    assert addresses(draft([task(healthy=frozenset({"sidecar"}))], checked)) == set()
    assert addresses(draft([task(healthy=frozenset({"app"}))], checked)) == {("10.0.0.1", 50051)}


def test_only_a_young_task_is_pending() -> None:
    checked = definition("rng", container(health_checked=True))
    young, old, unknown = task(1, started_at=NOW - 299), task(2, started_at=NOW - 301), task(3, started_at=None)
    assert draft([young, old, unknown], checked).pending == (young.id,)


def test_an_address_that_ecs_gave_again_belongs_to_the_task_that_serves() -> None:
    stopping = task(1, desired_status="STOPPED", last_status="STOPPING", address="10.0.0.9")
    made = draft([stopping, task(2, address="10.0.0.9")], definition())
    [target] = made.document.services[0].targets
    assert (target.task, target.state) == (task_name(2), TargetState.SERVING)


# Invariant 11


@pytest.mark.parametrize(
    ("bad", "label", "value"),
    [
        (container("bad", port="9"), "grpc-lb.port", "9"),
        (container("bad", service="No!"), "grpc-lb.service", "No!"),
        (container("bad", enable="yes"), "grpc-lb.enable", "yes"),
    ],
)
def test_invariant_11_a_bad_label_takes_out_only_its_container(bad: Container, label: str, value: str) -> None:
    # GIVEN a task with a bad container beside a good one, and a good task
    tasks = [task(1, "mixed"), task(2, "good")]
    definitions = definition("mixed", bad, container("app", 7, service="fine"), revision=4)
    made = draft(tasks, definitions | definition("good", container(service="good")))
    # THEN only the bad container is left out, with a message that names family, label and value
    assert {service.name for service in made.document.services} == {"fine", "good"}
    [rejected] = made.rejected
    assert (rejected.revision, rejected.error.family, rejected.error.label, rejected.error.value) == (
        4,
        "mixed",
        label,
        value,
    )


def test_invariant_11_a_second_service_never_takes_a_route_from_the_one_that_holds_it() -> None:
    # GIVEN a service that holds all calls
    definitions = definition("holder") | definition("aaa")
    holder = draft([task(1, "holder")], definitions).document
    # WHEN another with an earlier name asks for them too, even while the holder's tasks all restart
    for status in ("RUNNING", "PENDING"):
        made = draft([task(1, "holder", last_status=status), task(2, "aaa")], definitions, holder)
        # THEN the holder keeps them, and that is told
        routes = {service.name: service.routes for service in made.document.services}
        assert routes == {"holder": (Route(),), "aaa": ()}
        assert [(conflict.holder, conflict.loser) for conflict in made.conflicts] == [("holder", "aaa")]


# Whatever tasks there are

STATUSES = ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"]
VALUES = st.sampled_from(["", "true", "TRUE", "*", "50051", "0", "99999", "a,b", "*.x", "rng", "é", "x" * 300])
NAMES = st.sampled_from(["enable", "service", "port", "hosts", "grpc-services", "typo"])
CONTAINERS = st.builds(
    Container,
    name=st.sampled_from(["app", "b"]),
    labels=st.dictionaries(NAMES.map("grpc-lb.{}".format), VALUES | st.text(max_size=5)).map(
        lambda labels: labels | LABELS if len(labels) % 2 else labels
    ),
    ports=st.lists(st.integers(1, 65_535), max_size=2).map(tuple) | st.just((50051,)),
    health_checked=st.booleans(),
)
DEFINITIONS = st.fixed_dictionaries(
    {
        name: st.builds(
            TaskDefinition,
            family=st.sampled_from(["rng", "Rng_2", "é"]),
            revision=st.integers(1, 3),
            containers=st.lists(CONTAINERS, max_size=3).map(tuple) | st.just((container(),)),
        )
        for name in ("d1", "d2")
    }
)
TASKS = st.builds(
    Task,
    id=st.integers(0, 5).map(task_name) | st.text(max_size=5),
    definition=st.sampled_from(["d1", "d2"]),
    service=st.none() | st.sampled_from(["rng", "Other_1", "x" * 255]) | st.text(max_size=5),
    version=st.none() | st.integers(0, 9),
    last_status=st.sampled_from([*STATUSES, "", "NEW"]),
    desired_status=st.sampled_from(["RUNNING", "RUNNING", "STOPPED", "PENDING", ""]),
    zone=st.sampled_from(["eu-west-1a", "", "?"]),
    address=st.none() | st.sampled_from(["10.0.0.1", "10.0.0.2", "no address"]),
    started_at=st.none() | st.just(NOW - 10),
    healthy=st.frozensets(st.sampled_from(["app", "b"])),
)


@given(
    st.lists(TASKS, max_size=12, unique_by=lambda task: task.id),
    st.lists(TASKS, max_size=12, unique_by=lambda task: task.id),
    DEFINITIONS,
    st.frozensets(st.integers(0, 5).map(task_name)),
)
def test_invariant_4_no_set_of_tasks_crashes_the_transform_or_gives_a_stopping_task_calls(
    before: list[Task], tasks: list[Task], definitions: dict[str, TaskDefinition], told_to_stop: frozenset[str]
) -> None:
    previous = draft(before, definitions).document
    made = transform(tasks, definitions, previous=previous, told_to_stop=told_to_stop, now=NOW)
    serving = {
        target.task
        for service in made.document.services
        for target in service.targets
        if target.state is TargetState.SERVING
    }
    may_serve = {
        task.id
        for task in tasks
        if (task.last_status, task.desired_status) == ("RUNNING", "RUNNING") and task.id not in told_to_stop
    }
    assert serving <= may_serve
    # AND what is made can be published and read, and is the same in any order
    packed = pack(made.document)
    assert assemble(read_index(packed.index), packed.shards) == made.document
    again = transform(tasks[::-1], definitions, previous=previous, told_to_stop=told_to_stop, now=NOW)
    assert again == made


def test_stages_are_told_by_what_ecs_wants_before_what_it_has() -> None:
    assert stage_of(task(desired_status="STOPPED"), container(), frozenset()) is TargetStage.DRAINING
    assert stage_of(task(), container(), frozenset({task_name(1)})) is TargetStage.DRAINING
    assert stage_of(task(desired_status="STOPPED", last_status="PENDING"), container(), frozenset()) is None
    assert stage_of(task(last_status="ACTIVATING"), container(), frozenset()) is TargetStage.STARTING


@pytest.mark.parametrize("last_status", ["DEPROVISIONING", "STOPPED"])
def test_a_refused_label_is_told_until_its_task_is_over(last_status: str) -> None:
    bad = definition("rng", container(port="9"))
    running, over = task(), task(last_status=last_status, desired_status="STOPPED")
    assert [rejected.error.label for rejected in draft([running], bad).rejected] == ["grpc-lb.port"]
    assert draft([over], bad).rejected == ()
    assert draft([over], bad).document.diagnostics == Document().diagnostics
