"""docs/labels.md says of each label what the contract says."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from dev.label_reference import label_reference
from grpc_lb_contract import Deadline, Overrides, Registration, Retry, Route, read_labels
from grpc_lb_contract.labels.names import ENABLE, LABELS, METHODS, SERVICE
from grpc_lb_contract.labels.registration import MAX_ROUTES
from tests.docs.pages import DOCS, code, section, tables

PAGE = (DOCS / "labels.md").read_text()
RIGHT = Registration(service="orders", port=50051).to_labels()


def test_the_labels_are_those_of_the_contract() -> None:
    assert tuple(code(label) for label, *_ in tables(PAGE)[0]) == LABELS


def test_the_policies_are_those_of_the_contract() -> None:
    assert label_reference().strip() in section(PAGE, "## Traffic policy")


def test_each_refused_value_is_refused_with_that_sentence() -> None:
    """GIVEN right labels, WHEN one has the value that the page calls wrong, THEN the problem is the page's."""
    refused, _ = tables(section(PAGE, "## Values that are rejected"))
    for label, value, problem in refused:
        reading = read_labels(
            RIGHT | {code(label): code(value)}, mapped_ports=[50051], default_service="orders", family="orders"
        )
        assert [error.problem for error in reading.errors] == [problem]


def test_what_a_wrong_value_takes_out() -> None:
    """GIVEN the page's first table, THEN the allowed names are those that a registration takes."""
    without = read_labels(RIGHT | {ENABLE: "yes"}, mapped_ports=[50051], default_service="x", family="x")
    assert without.registration is None
    partly = read_labels(
        RIGHT | {"grpc-lb.hosts": "a, b:1"}, mapped_ports=[50051], default_service="x", family="x"
    ).registration
    assert partly is not None
    assert partly.hosts == ("a",)
    named = {label: value for label, value in RIGHT.items() if label != SERVICE}
    by_default = read_labels(named, mapped_ports=[50051], default_service="Orders", family="x").registration
    assert by_default is not None
    assert by_default.service == "orders"
    assert f"at most {MAX_ROUTES}" in PAGE


def test_the_examples_of_several_routes_give_what_the_page_says() -> None:
    example = dict(re.findall(r'"(grpc-lb[^"]+)": "([^"]+)"', section(PAGE, "### Several routes of a service")))
    preview = tuple(sorted(map(str, routes_of(example)[-1].metadata)))
    assert preview == ("!x-internal", "x-stage!=old", "x-tenant^=acme-")
    export = Overrides(Deadline(timedelta(minutes=2)), Retry(max_retries=0))
    assert routes_of(example)[:2] == (
        Route("*", "orders.v1.Orders"),
        Route("*", "orders.v1.Orders", method="Export", overrides=export),
    )
    assert replace(routes_of(example)[2], metadata=()) == Route("preview.internal", "orders.v1.Orders", priority=10)
    alone = dict(re.findall(r'`"(grpc-lb.methods)": "([^"]+)"`', PAGE))
    assert routes_of(alone) == (Route("*", "orders.v1.Orders", method="Export"),)


def routes_of(labels: dict[str, str]) -> tuple[Route, ...]:
    several = {label: text for label, text in labels.items() if label != METHODS or len(labels) == 1}
    reading = read_labels(RIGHT | several, mapped_ports=[50051], default_service="orders", family="orders")
    assert reading.errors == ()
    assert reading.registration is not None
    return reading.registration.routes
