"""Task definitions never change: their labels are read once, however many tasks and refreshes there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from grpc_lb_contract import LabelReading, read_labels
from lambda_src.discovery.selection import Selection
from lambda_src.discovery.tasks import Container, Task
from lambda_src.transform import label_parsing
from lambda_src.transform.document import TransformCache, Transformed, transform
from lambda_src.transform.label_parsing import LabelCache
from tests.lambda_src.conftest import Lines, Sync
from tests.lambda_src.fake_aws import LABELS, NOW, FakeAws
from tests.lambda_src.transform.test_document import definition, task
from traefik_labels import Container as TraefikContainer
from traefik_labels import TraefikLabels, Translation, translate_all

FOREIGN = {f"grpc-lb.retry.{number}": "7" for number in range(100)}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counted: Counter[str] = Counter()

    def counting(labels: Any, **given: Any) -> LabelReading:
        counted[given["family"]] += 1
        return read_labels(labels, **given)

    monkeypatch.setattr(label_parsing, "read_labels", counting)
    return counted


def test_labels_are_read_once_for_all_tasks_and_refreshes(aws: FakeAws, sync: Sync, reads: Counter[str]) -> None:
    # GIVEN a definition of ten containers with a hundred foreign labels each, and a good one
    arn = aws.define("foreign")
    app = aws.definitions[arn]["containerDefinitions"][0]
    aws.definitions[arn]["containerDefinitions"] = [
        {**app, "name": f"c{number}", "dockerLabels": LABELS | FOREIGN | {"grpc-lb.service": f"s{number}"}}
        for number in range(10)
    ]
    good = [aws.run(number) for number in range(2)]
    for number in range(2, 5):
        aws.run(number, family="foreign", service="foreign")
    # WHEN refresh after refresh comes, with labels read again only where their definition is new
    for _ in range(3):
        sync.minute()
    # THEN the labels of each container were read once (those of a sidecar too)
    assert reads == {"foreign": 10, "rng": 2}
    assert sync.serving() == set(good)
    # AND their errors are told in the document, as before
    assert sync.document().diagnostics.rejected_count == 100
    aws.define("new")
    aws.run(9, family="new", service="new")
    sync.minute()
    assert reads == {"foreign": 10, "rng": 2, "new": 2}


def test_a_refusal_is_gone_when_the_tasks_that_have_it_are(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    aws.define("bad", labels=LABELS | {"grpc-lb.port": "9"})
    aws.run(1)
    bad = aws.run(2, family="bad", service="bad")
    sync.minute()
    assert sync.document().diagnostics.rejected_count == 1
    aws.stop(bad, "STOPPED")
    sync.handle(aws.event(bad))
    assert sync.document().diagnostics.rejected_count == 0
    # AND it is told again when they come again
    again = aws.run(3, family="bad", service="bad")
    sync.handle(aws.event(again))
    assert sync.document().diagnostics.rejected_count == 1
    assert len(logged.about("label rejected")) == 2


def test_a_hundred_refused_labels_are_logged_and_the_rest_is_counted(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    for number in range(3):
        aws.define(f"foreign{number}", labels=LABELS | {f"grpc-lb.retry.{n}": "7" for n in range(50)})
        aws.run(number, family=f"foreign{number}", service=f"foreign{number}")
    sync.minute()
    assert len(logged.about("label rejected")) == 100
    assert logged.about("more labels rejected") == [{"count": 50}]
    assert logged.about("refresh")[0]["labels_rejected"] == 150


def test_a_thousand_foreign_labels_of_traefiks_kind_are_translated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a definition of ten containers with a hundred labels each that Traefik does not know
    containers = [
        Container(
            f"c{number}",
            LABELS
            | {"grpc-lb.service": f"s{number}"}
            | {f"traefik.http.routers.r.foreign{label}": "7" for label in range(100)},
            (50051 + number,),
            health_checked=False,
        )
        for number in range(10)
    ]
    definitions = definition("foreign", *containers) | definition("other")
    tasks = [task(number, "foreign") for number in range(9)]
    calls: list[int] = []

    def counting(seen: Sequence[TraefikContainer], settings: TraefikLabels) -> Sequence[Translation]:
        calls.append(len(seen))
        return translate_all(seen, settings)

    monkeypatch.setattr(label_parsing, "translate_all", counting)
    cache = LabelCache()

    def refresh(*all_tasks: Task) -> Transformed:
        return transform(
            all_tasks,
            definitions,
            previous=None,
            told_to_stop=frozenset(),
            now=NOW,
            selection=Selection(traefik=TraefikLabels()),
            cache=TransformCache(labels=cache),
        )

    # WHEN refresh after refresh meets nine tasks of it, THEN all are translated once, and again only beside new ones
    made = [refresh(*tasks) for _ in range(3)]
    assert calls == [10]
    assert made[0] == made[1] == made[2]
    refresh(*tasks, task(99, "other"))
    assert calls == [10, 11]
