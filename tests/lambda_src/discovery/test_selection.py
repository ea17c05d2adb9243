from __future__ import annotations

import pytest

from grpc_lb_contract import Document, Group, Service
from lambda_src.discovery.selection import Selection
from lambda_src.discovery.tasks import Container, TaskDefinition
from lambda_src.transform.document import Transformed, transform
from lambda_src.transform.scaled_to_zero import carried_on
from tests.lambda_src.fake_aws import NOW
from tests.lambda_src.transform.test_document import addresses, task

ENABLED = {"grpc-lb.enable": "true"}


def draft(selection: Selection, *containers: Container, service: str | None = None) -> Transformed:
    return transform(
        [task(service=service)],
        {"rng": TaskDefinition("rng", 1, containers)},
        previous=None,
        told_to_stop=frozenset(),
        now=NOW,
        selection=selection,
    )


def names(drafted: Transformed) -> set[str]:
    return {service.name for service in drafted.document.services}


def test_a_container_that_no_label_asks_for_takes_part_only_where_all_are_exposed() -> None:
    bare = Container("app", {}, (7000,), False)
    assert names(draft(Selection(), bare, service="Orders")) == set()
    exposed = draft(Selection(exposed_by_default=True), bare, service="Orders")
    assert addresses(exposed, "orders") == {("10.0.0.1", 7000)}


def test_a_label_takes_a_container_out_where_all_are_exposed() -> None:
    out = Container("app", {"grpc-lb.enable": "false"}, (7000,), False)
    assert names(draft(Selection(exposed_by_default=True), out)) == set()


def test_a_side_car_without_ports_is_no_error_where_all_are_exposed() -> None:
    made = draft(Selection(exposed_by_default=True), Container("app", {}, (1,), False), Container("log", {}, (), False))
    assert names(made) == {"rng"}
    assert made.rejected == ()


def test_a_container_with_several_ports_is_asked_for_a_label_where_all_are_exposed() -> None:
    made = draft(Selection(exposed_by_default=True), Container("app", {}, (1, 2), False))
    assert [rejected.error.label for rejected in made.rejected] == ["grpc-lb.port"]


@pytest.mark.parametrize(
    ("patterns", "taken"),
    [
        ((), {"orders-api", "billing"}),
        (("orders-*",), {"orders-api"}),
        (("orders", "bill?ng"), {"billing"}),
        (("ORDERS-*",), set()),
    ],
)
def test_only_services_whose_names_fit_a_pattern_are_taken(patterns: tuple[str, ...], taken: set[str]) -> None:
    orders = Container("a", ENABLED | {"grpc-lb.service": "orders-api"}, (1,), False)
    billing = Container("b", ENABLED, (2,), False)
    assert names(draft(Selection(only_services=patterns), orders, billing, service="Billing")) == taken


@pytest.mark.parametrize(
    ("only", "taken"),
    [
        (None, {"mine", "theirs", "nobodys"}),
        ("team", {"mine", "theirs"}),
        ("team=a=b", {"mine"}),
        ("team=", set()),
    ],
)
def test_only_containers_with_the_label_are_taken(only: str | None, taken: set[str]) -> None:
    mine = Container("a", ENABLED | {"grpc-lb.service": "mine", "team": "a=b"}, (1,), False)
    theirs = Container("b", ENABLED | {"grpc-lb.service": "theirs", "team": "c"}, (2,), False)
    nobodys = Container("c", ENABLED | {"grpc-lb.service": "nobodys"}, (3,), False)
    assert names(draft(Selection(only_label=only), mine, theirs, nobodys)) == taken


def test_the_bad_labels_of_other_balancers_containers_are_not_this_ones_business() -> None:
    wrong = Container("a", ENABLED | {"grpc-lb.service": "theirs", "grpc-lb.port": "9"}, (1,), False)
    assert draft(Selection(), wrong).rejected != ()
    assert draft(Selection(only_services=("mine",)), wrong).rejected == ()
    assert draft(Selection(only_label="team"), wrong).rejected == ()


def test_a_service_whose_name_is_taken_no_longer_goes_with_its_last_task() -> None:
    gone = Document((Service("gone", groups=(Group("gone"),)),))
    active = frozenset({"gone"})
    assert carried_on(gone, (), active, Selection(only_services=("go*",))) == gone.services
    assert carried_on(gone, (), active, Selection(only_services=("other",))) == ()


# docs/labels.md, "Who can get whose calls"


def test_whoever_names_a_service_joins_it_whatever_balancers_take() -> None:
    owner = Container("a", ENABLED | {"grpc-lb.service": "orders", "team": "orders"}, (1,), False)
    other = Container("b", ENABLED | {"grpc-lb.service": "orders", "team": "orders"}, (2,), False)
    made = draft(Selection(only_services=("orders",), only_label="team=orders"), owner, other)
    assert addresses(made, "orders") == {("10.0.0.1", 1), ("10.0.0.1", 2)}


@pytest.mark.parametrize(
    "narrower", [{"grpc-lb.hosts": "orders.internal"}, {"grpc-lb.grpc-services": "orders.v1.Orders"}]
)
def test_a_more_specific_route_is_no_conflict(narrower: dict[str, str]) -> None:
    owner = Container("a", ENABLED | {"grpc-lb.service": "orders"}, (1,), False)
    other = Container("b", ENABLED | {"grpc-lb.service": "other"} | narrower, (2,), False)
    made = draft(Selection(), owner, other)
    assert [len(service.routes) for service in made.document.services] == [1, 1]
    assert (made.conflicts, made.rejected) == ((), ())
