"""Two containers are one service because their owners say so, never because their names look alike."""

from __future__ import annotations

import pytest

from grpc_lb_contract import Document
from grpc_lb_contract.labels.names import SERVICE
from lambda_src.discovery.selection import Selection
from lambda_src.discovery.tasks import Container, Task
from lambda_src.transform.document import Transformed, transform
from tests.lambda_src.conftest import Sync
from tests.lambda_src.fake_aws import NOW, FakeAws
from tests.lambda_src.transform.test_document import LABELS, container, definition, draft, task
from traefik_labels import TraefikLabels

LONG = "Production-RandomNumbersServiceOfTheTeamThatHasTheLongestNameOfAll"


def ports(made: Transformed | Document, service: str) -> set[int]:
    document = made.document if isinstance(made, Transformed) else made
    found = document.service(service)
    return set() if found is None else {target.port for target in found.targets}


def groups(made: Transformed, service: str) -> set[str]:
    found = made.document.service(service)
    return set() if found is None else {target.group for target in found.targets}


def rejected(made: Transformed) -> list[tuple[str, str]]:
    return [(one.error.family, one.error.label) for one in made.rejected]


def test_two_containers_of_a_task_without_a_service_label_are_both_refused_with_the_fix() -> None:
    made = draft([task()], definition("rng", container("a", 50051), container("b", 50052)))
    assert made.document.services == ()
    [error] = {one.error for one in made.rejected}
    assert (error.family, error.label) == ("rng", SERVICE)
    assert "must be set for each container of a task that has several: this one would be rng" in error.problem


def test_a_container_without_a_service_label_does_not_join_the_one_beside_it_that_has_its_name() -> None:
    made = draft([task()], definition("rng", container("a", 50051, service="rng"), container("b", 50052)))
    assert ports(made, "rng") == {50051}
    assert rejected(made) == [("rng", SERVICE)]


def test_containers_that_name_their_services_take_part_each_as_its_own_or_as_one() -> None:
    two = definition("rng", container("a", 1), container("b", 2, service="admin"))
    assert (ports(draft([task()], two), "rng"), ports(draft([task()], two), "admin")) == ({1}, {2})
    one = definition("rng", container("a", 1, service="rng"), container("b", 2, service="rng"))
    assert ports(draft([task()], one), "rng") == {1, 2}


def test_containers_that_are_exposed_by_default_are_told_too() -> None:
    both = definition("rng", Container("a", {}, (1,), False), Container("b", {}, (2,), False))
    made = transform(
        [task()], both, previous=None, told_to_stop=frozenset(), now=NOW, selection=Selection(exposed_by_default=True)
    )
    assert made.document.services == ()
    assert rejected(made) == [("rng", SERVICE)]


@pytest.mark.parametrize(
    ("one", "other", "service"),
    [
        ("Orders_API", "orders-api", "orders-api"),
        ("ORDERS-API", "Orders_API", "orders-api"),
        ("orders__api", "orders--api", "orders--api"),
        ("-orders-", "orders", "orders"),
        ("_123", "123", "123"),
        (f"{LONG}-Blue-aBcDeF", f"{LONG}-Green-gHiJkL", LONG[:63].lower()),
    ],
)
def test_names_that_come_out_alike_are_never_one_service(one: str, other: str, service: str) -> None:
    # GIVEN two ECS services whose names come out as one, WHEN both start at once
    tasks = [task(1, service=one), task(2, service=other)]
    made = draft(tasks, definition())
    # THEN one of them is the service, the one whose very name it is first, and the other is told the fix
    winner = other if other == service else min(one, other)
    loser = one if winner == other else other
    assert groups(made, service) == {winner}
    [error] = [label.error for label in made.rejected]
    assert (error.family, error.label) == ("rng", SERVICE)
    assert f"must be set: {loser} would be {service}, as which {winner} takes part" in error.problem
    # AND the result is the same in any order
    assert draft(tasks[::-1], definition()) == made


def test_who_has_a_name_keeps_it_also_while_its_tasks_start_anew() -> None:
    holder = draft([task(1, service="Orders_API")], definition()).document
    tasks: list[Task] = [task(1, service="Orders_API", last_status="PENDING"), task(2, service="orders-api")]
    made = draft(tasks, definition(), holder)
    assert (groups(made, "orders-api"), made.document.services[0].name) == (set(), "orders-api")
    assert "orders-api would be orders-api, as which Orders_API takes part" in made.rejected[0].error.problem


def test_a_service_of_one_name_by_label_and_by_default_is_what_its_owners_say() -> None:
    # GIVEN an ECS service without a label, and a canary whose label names it
    definitions = definition("stable") | definition("canary", container(service="orders"))
    made = draft([task(1, "stable", "orders"), task(2, "canary", "orders-canary")], definitions)
    assert groups(made, "orders") == {"orders", "orders-canary"}
    assert made.rejected == ()


def test_a_task_run_by_hand_and_the_ecs_service_of_its_familys_name_are_one_service() -> None:
    made = draft([task(1, service="rng"), task(2, service=None)], definition("rng"))
    assert {target.task for target in made.document.services[0].targets} == {task(1).id, task(2).id}
    assert made.rejected == ()


def test_names_that_traefiks_labels_say_are_kept_apart_too() -> None:
    def labels(name: str) -> dict[str, str]:
        return {
            "traefik.enable": "true",
            f"traefik.http.services.{name}.loadbalancer.server.port": "50051",
            f"traefik.http.services.{name}.loadbalancer.server.scheme": "h2c",
            f"traefik.http.routers.{name}.rule": f"Host(`{name.lower().replace('_', '-')}.internal`)",
        }

    definitions = definition("a", Container("app", labels("Orders_API"), (50051,), False)) | definition(
        "b", Container("app", labels("orders-api"), (50051,), False)
    )
    made = transform(
        [task(1, "a"), task(2, "b")],
        definitions,
        previous=None,
        told_to_stop=frozenset(),
        now=NOW,
        selection=Selection(traefik=TraefikLabels()),
    )
    # THEN they are two services, as Traefik has them
    assert groups(made, "orders-api") == {"b"}
    (other,) = {service.name for service in made.document.services} - {"orders-api"}
    assert groups(made, other) == {"a"}
    assert made.rejected == ()


def test_two_ports_of_a_task_are_never_mixed_from_its_event_to_the_document(aws: FakeAws, sync: Sync) -> None:
    arn = aws.define("rng")
    app = aws.definitions[arn]["containerDefinitions"][0]
    admin = {"name": "admin", "dockerLabels": dict(LABELS), "portMappings": [{"containerPort": 50052}]}
    aws.definitions[arn]["containerDefinitions"] = [app, admin]
    good = aws.run(2, family="good", service="good")
    aws.run(1)
    sync.minute()
    assert [service.name for service in sync.document().services] == ["good"]
    assert sync.serving("good") == {good}
    assert sync.document().diagnostics.rejected_count == 1
