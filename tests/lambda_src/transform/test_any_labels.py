"""10,000 random label sets: whoever wrote them, the services beside are as they were."""

from __future__ import annotations

from itertools import islice

import pytest

from grpc_lb_contract.labels.names import PORT
from grpc_lb_contract.policy.traffic_policy import TABLE
from lambda_src.discovery.tasks import RUNNING, Container, Task, TaskDefinition
from lambda_src.transform.document import transform
from tests.grpc_lb_contract.label_sets import MANY_SETS, MAPPED_PORT, SETS, allowed_texts, label_sets

NEIGHBOUR = {
    "grpc-lb.enable": "true",
    "grpc-lb.service": "neighbour",
    "grpc-lb.hosts": "*, h1.test",
    "grpc-lb.priority": "7",
    "grpc-lb.deadline.max": "9s",
    "grpc-lb.routes.slow.methods": "a.B/C",
    "grpc-lb.routes.slow.deadline.max": "1s",
}

AT_ONCE = 5


def task(name: str, address: str) -> Task:
    return Task(name, name, name, 1, RUNNING, RUNNING, "us-east-1a", address, 0.0, frozenset())


def definition(name: str, labels: dict[str, str]) -> TaskDefinition:
    return TaskDefinition(name, 1, (Container("app", labels, (MAPPED_PORT,), health_checked=False),))


def test_the_label_sets_have_every_setting_with_a_text_that_it_allows() -> None:
    assert {row.label for row in TABLE if not allowed_texts(row.setting.kind)} == set()


@pytest.mark.parametrize("count", [SETS, pytest.param(MANY_SETS, marks=pytest.mark.long)])
def test_label_sets_crash_nothing_touch_no_neighbour_and_every_error_names_its_label(count: int) -> None:
    tasks = [task("neighbour", "10.0.0.1")]
    definitions = {"neighbour": definition("neighbour", NEIGHBOUR)}
    alone = transform(tasks, definitions, previous=None, told_to_stop=frozenset(), now=1e9)
    (neighbour,) = alone.document.services
    assert alone.rejected == ()
    assert len(neighbour.routes) == 4

    registered = rejected = 0
    sets = label_sets(count)
    while batch := list(islice(sets, AT_ONCE)):
        others = {f"other-{number}": definition(f"other-{number}", labels) for number, labels in enumerate(batch)}
        draft = transform(
            [*tasks, *(task(name, f"10.0.1.{number}") for number, name in enumerate(others))],
            definitions | others,
            previous=alone.document,
            told_to_stop=frozenset(),
            now=1e9,
        )
        assert draft.document.service("neighbour") == neighbour, batch
        for error in (each.error for each in draft.rejected):
            # The only label that is rejected without being there is one that is needed.
            assert error.label in others[error.family].containers[0].labels or error.label == PORT
            assert f"(label {error.label} of task family {error.family})" in str(error)
        registered += sum(bool(service.targets) for service in draft.document.services) - 1
        rejected += len({each.error.family for each in draft.rejected})
    # They are good enough to come far, and bad enough to be told so.
    assert registered > 0.8 * count
    assert rejected > 0.3 * count
