"""docs/traefik.md says of each label what the translation makes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from tests.docs.pages import DOCS, section, tables
from traefik_labels import Container, Outcome, TraefikLabels, Translation, translate
from traefik_labels.docs_tables import with_unsupported_settings

PAGE = (DOCS / "traefik.md").read_text()
(LABELS,) = tables(section(PAGE, "## What becomes of labels"))
(RULES,) = tables(section(PAGE, "## Rules"))

FIRST = {"traefik.protocol": "h2c", "traefik.frontend.rule": "Host:rng.internal"}
SECOND = {
    "traefik.http.services.NAME.loadbalancer.server.scheme": "h2c",
    "traefik.http.routers.NAME.rule": "Host(`rng.internal`)",
}


def labels_in(cell: str) -> dict[str, str]:
    return dict(label.split("=", 1) for label in re.findall(r"`([^`]+)`", cell))


def translated(labels: Mapping[str, str]) -> Translation:
    return translate(Container(labels, "app", "rng-service", "rng", (50051,)), TraefikLabels())


@pytest.mark.parametrize(("theirs", "ours", "differs"), LABELS)
def test_labels_become_what_the_page_says(theirs: str, ours: str, differs: str) -> None:
    # GIVEN the labels of a row beside a usual set
    written = labels_in(theirs)
    usual = SECOND if any(name.startswith("traefik.http.") for name in written) else FIRST
    # THEN these are the labels that come of them, and it is said whether they differ
    before, made = translated(usual), translated({**usual, **written})
    news = {name: text for name, text in made.labels.items() if before.labels.get(name) != text}
    assert labels_in(ours).items() <= made.labels.items()
    assert news.items() <= labels_in(ours).items()
    assert [remark.outcome for remark in made.remarks] == [Outcome.DIFFERS] * bool(differs)


@pytest.mark.parametrize(("rule", "ours"), RULES)
def test_rules_become_what_the_page_says(rule: str, ours: str) -> None:
    text = re.fullmatch(r"(`+)(.*)\1", rule.replace("\\|", "|"))[2]  # type: ignore[index]
    usual, label = (SECOND, "traefik.http.routers.NAME.rule") if "(" in text else (FIRST, "traefik.frontend.rule")
    made = translated({**usual, label: text})
    said = {name.replace("NAME", "name"): value for name, value in labels_in(ours).items()}
    beside = {"grpc-lb.enable", "grpc-lb.port", "grpc-lb.service"}
    assert {name: value for name, value in made.labels.items() if name not in beside} == said
    assert made.remarks == ()


def test_what_has_no_counterpart_is_told_as_the_code_has_it() -> None:
    assert with_unsupported_settings(PAGE) == PAGE
