"""Policies and weights where the tasks of a service do not all say the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import Group, Limits, Route, Service, TrafficPolicy
from lambda_src.discovery.tasks import Container, Task, TaskDefinition
from tests.lambda_src.transform.test_document import draft, task


def labelled(revision: int, *, family: str = "rng", **labels: str) -> dict[str, TaskDefinition]:
    named = {f"grpc-lb.{label.replace('_', '.')}": text for label, text in labels.items()}
    all_labels = {"grpc-lb.enable": "true", "grpc-lb.service": "rng", **named}
    return {f"{family}:{revision}": TaskDefinition(family, revision, (Container("app", all_labels, (50051,), False),))}


def limit(requests: int) -> TrafficPolicy:
    return TrafficPolicy(limits=Limits(requests=requests))


OLD = labelled(9, limits_requests="9")
NEW = labelled(10, limits_requests="10")
BOTH = OLD | NEW


def made(tasks: list[Task], definitions: dict[str, TaskDefinition]) -> Service:
    [service] = draft(tasks, definitions).document.services
    return service


def running(*definitions: str, group: str = "rng", first: int = 1) -> list[Task]:
    return [task(number, name, group) for number, name in enumerate(definitions, first)]


def test_a_policy_written_in_labels_is_in_the_document() -> None:
    assert made(running("rng:9"), OLD).policy == limit(9)


def test_of_a_group_the_newest_revision_that_serves_counts() -> None:
    assert made(running("rng:9", "rng:9", "rng:10"), BOTH).policy == limit(10)


def test_a_new_revision_that_does_not_serve_yet_changes_nothing() -> None:
    starting = task(2, "rng:10", "rng", last_status="PENDING")
    assert made([*running("rng:9"), starting], BOTH).policy == limit(9)


def test_a_deployment_that_is_rolled_back_takes_its_policy_along() -> None:
    leaving = task(2, "rng:10", "rng", desired_status="STOPPED")
    assert made([*running("rng:9"), leaving], BOTH).policy == limit(9)


def test_of_several_groups_the_one_with_the_most_tasks_says_what_holds_for_the_service() -> None:
    stable, canary = running("rng:9", "rng:9", group="stable"), running("rng:10", group="canary", first=3)
    assert made(stable + canary, BOTH).policy == limit(9)
    # AND of groups alike the first by name, whichever is newer
    assert made(stable[:1] + canary, BOTH).policy == limit(10)


SLOW = {"hosts": "a.test", "routes.slow.methods": "a.B/C", "routes.slow.deadline.max": "1s"}
SLOWER = SLOW | {"routes.slow.deadline.max": "2s"}


def test_where_tasks_ask_for_the_same_calls_otherwise_those_count_that_the_policy_is_of() -> None:
    definitions = labelled(9, **SLOW) | labelled(10, **SLOWER)

    def ceiling(tasks: list[Task]) -> str:
        its, slow = made(tasks, definitions).routes
        assert its == Route("a.test")
        return slow.overrides.to_settings()["deadline.max"]

    assert ceiling(running("rng:9", "rng:9", "rng:10")) == "2s"
    stable, canary = running("rng:9", "rng:9", group="stable"), running("rng:10", group="canary", first=3)
    assert ceiling(stable + canary) == "1s"


def test_a_bad_setting_of_the_newest_revision_leaves_the_default_and_not_the_older_ones() -> None:
    bad = labelled(10, limits_requests="many", limits_pending="5")
    made = draft(running("rng:9", "rng:10"), OLD | bad)
    assert made.document.services[0].policy == TrafficPolicy(limits=Limits(pending=5))
    [rejected] = made.rejected
    assert (rejected.revision, rejected.error.label, rejected.error.value) == (10, "grpc-lb.limits.requests", "many")


@pytest.mark.parametrize(
    ("blue", "green", "weights"),
    [
        ({}, {}, (1, 1)),
        ({}, {"weight": "5"}, (100, 5)),
        ({"weight": "95"}, {"weight": "5"}, (95, 5)),
        ({"weight": "1"}, {"weight": "1"}, (100, 100)),
        ({"weight": "1"}, {"weight": "0"}, (1, 0)),
        ({}, {"weight": "heavy"}, (1, 1)),
    ],
)
def test_each_group_has_the_weight_that_its_labels_say(
    blue: dict[str, str], green: dict[str, str], weights: tuple[int, int]
) -> None:
    definitions = labelled(1, family="blue", **blue) | labelled(1, family="green", **green)
    service = made(running("blue:1", group="blue") + running("green:1", group="green", first=2), definitions)
    assert service.groups == (Group("blue", weights[0]), Group("green", weights[1]))


def test_of_a_group_the_newest_revision_says_its_weight() -> None:
    definitions = labelled(1, weight="5") | labelled(2, weight="20")
    assert made(running("rng:1", "rng:2"), definitions).groups == (Group("rng", 20),)


@given(st.permutations([*running("rng:9", "rng:10"), *running("rng:9", "rng:10", group="canary", first=3)]))
def test_the_order_of_the_tasks_tells_nothing(tasks: list[Task]) -> None:
    assert made(tasks, BOTH) == made(sorted(tasks, key=lambda task: task.id), BOTH)
