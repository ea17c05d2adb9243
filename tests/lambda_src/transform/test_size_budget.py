"""The labels of a few services cannot fill the document of a cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import Document, Route, Service, pack
from lambda_src.transform.size_budget import MAX_BYTES, MAX_BYTES_OF_A_SERVICE, MAX_ROUTES, within_budget
from tests.docs.pages import DOCS
from tests.lambda_src.conftest import Lines, Sync
from tests.lambda_src.fake_aws import LABELS, FakeAws, task_name

HOSTILE = range(100, 120)


def run_services(aws: FakeAws, *names: str) -> None:
    for number, name in enumerate(names):
        aws.define(name, labels=LABELS | {"grpc-lb.hosts": f"{name}.internal"})
        aws.run(number, family=name, service=name)


def run_hostile(aws: FakeAws, host_bytes: int) -> None:
    """20 task definitions, each with as many routes as one container may ask for."""
    for number in HOSTILE:
        hosts = [(f"h{host}-{number}." + ".".join(["x" * 61] * 4))[:host_bytes].rstrip(".") for host in range(8)]
        calls = [f"a{call}" + "y" * host_bytes for call in range(8)]
        labels = {"grpc-lb.hosts": ",".join(hosts), "grpc-lb.grpc-services": ",".join(calls)}
        aws.define(f"a{number}", labels=LABELS | labels)
        aws.run(number, family=f"a{number}", service=f"a{number}")


def routes_of(sync: Sync, name: str) -> tuple[Route, ...]:
    service = sync.document().service(name)
    return () if service is None else service.routes


@pytest.mark.parametrize("host_bytes", [250, 100, 10])
@pytest.mark.parametrize("there_before", [True, False])
def test_invariant_11_20_hostile_task_definitions_take_nothing_from_the_others(
    host_bytes: int, there_before: bool, aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    # GIVEN services with a host each
    names = [f"s{number}" for number in range(12)]
    run_services(aws, *names)
    if there_before:
        sync.minute()
    # WHEN 20 others ask for all they may, THEN what is published has the routes and targets of each of the first
    run_hostile(aws, host_bytes)
    sync.minute()
    assert {name: routes_of(sync, name) for name in names} == {name: (Route(f"{name}.internal"),) for name in names}
    assert all(sync.serving(name) == {task_name(number)} for number, name in enumerate(names))
    # AND the targets of the others too, and no more routes than there is room for
    assert all(sync.serving(f"a{number}") == {task_name(number)} for number in HOSTILE)
    assert sum(len(service.routes) for service in sync.document().services) <= MAX_ROUTES
    assert pack(sync.document()).index
    # AND who got nothing is told, by name, with what it asked for and what is allowed
    without = {number for number in HOSTILE if not routes_of(sync, f"a{number}")}
    rejected = [facts for facts in logged.about("label rejected") if "must ask for at most" in facts["problem"]]
    assert without
    assert {facts["family"] for facts in rejected} == {f"a{number}" for number in without}
    assert all("64 new routes of" in facts["value"] for facts in rejected)
    # AND a service that comes later finds room
    aws.define("late", labels=LABELS | {"grpc-lb.hosts": "late.internal"})
    aws.run(50, family="late", service="late")
    before = sync.document()
    sync.minute()
    assert routes_of(sync, "late") == (Route("late.internal"),)
    assert [service for service in sync.document().services if service.name != "late"] == list(before.services)


def routed(name: str, routes: int, text: int = 1) -> Service:
    return Service(name, tuple(Route(f"{name}.{number}", "x" * text) for number in range(routes)))


def test_who_has_its_routes_keeps_them_and_who_asks_for_most_is_refused() -> None:
    had = Document((routed("had", 700),))
    services, rejected = within_budget((routed("b", 250), routed("a", 251), routed("had", 700)), had)
    assert {service.name: len(service.routes) for service in services} == {"b": 250, "a": 0, "had": 700}
    assert [(one.service, one.allowed) for one in rejected] == [
        ("a", f"{MAX_ROUTES} routes for all services, of which 950 are taken")
    ]


def test_a_service_that_asks_for_more_than_it_may_keeps_what_it_had() -> None:
    [kept], [rejected] = within_budget((routed("a", 100, 200),), Document((routed("a", 7, 200),)))
    assert kept == routed("a", 7, 200)
    assert rejected.asked.startswith("93 new routes of ")
    assert rejected.allowed == f"{MAX_BYTES_OF_A_SERVICE} bytes for one service"


def test_a_route_that_changes_where_there_is_no_room_stays_as_it_was() -> None:
    """GIVEN hardly a byte left WHEN a service gives its routes a priority THEN it keeps them without."""
    had = routed("a", 70, 200)
    raised = replace(had, routes=tuple(replace(route, priority=1_000_000) for route in had.routes))
    [kept], [rejected] = within_budget((raised,), Document((had,)))
    assert kept == had
    assert rejected.asked.startswith("70 new routes of ")
    # AND WHEN it takes less room than it had THEN it gets that
    assert within_budget((had,), Document((raised,))) == ((had,), ())


def test_routes_that_are_many_and_long_meet_the_bound_of_bytes() -> None:
    services, rejected = within_budget([routed(f"s{number:02}", 60, 200) for number in range(12)], None)
    assert [one.service for one in rejected] == ["s09", "s10", "s11"]
    assert f"at most {MAX_BYTES} bytes".endswith(rejected[0].allowed.partition(" for")[0])
    assert len(services) == 12


def test_the_page_of_labels_names_the_bounds() -> None:
    page = (DOCS / "labels.md").read_text()
    assert f"at most {MAX_ROUTES:,} routes and {MAX_BYTES:,} bytes" in " ".join(page.split())
    assert f"at most {MAX_BYTES_OF_A_SERVICE:,} bytes for one service" in " ".join(page.split())


SERVICES = st.lists(
    st.builds(routed, st.integers(0, 30).map("s{}".format), st.integers(0, 400), st.integers(1, 255)),
    max_size=12,
    unique_by=lambda service: service.name,
)


@given(SERVICES, SERVICES)
def test_whatever_is_asked_for_what_is_granted_stays_granted(first: list[Service], second: list[Service]) -> None:
    granted, _ = within_budget(first, None)
    assert sum(len(service.routes) for service in granted) <= MAX_ROUTES
    assert within_budget(first, Document(granted))[0] == granted
    before = {service.name: set(service.routes) for service in granted}
    for asked, service in zip(second, within_budget(second, Document(granted))[0], strict=True):
        assert set(service.routes) >= before.get(service.name, set()) & set(asked.routes)
