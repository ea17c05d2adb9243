"""Several routes of a service, single methods, priorities, and settings of a route's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given

from grpc_lb_contract import (
    Condition,
    Deadline,
    Document,
    LabelReading,
    Match,
    Overrides,
    Registration,
    Retry,
    RetryStatus,
    Route,
    RouteRule,
    Service,
    TrafficPolicy,
    encode_document,
    read_labels,
)
from tests.grpc_lb_contract.strategies import overrides, policies, registrations, routes

ORDERS = "orders.v1.Orders"
SLOW = Overrides(Deadline(max=timedelta(minutes=1)))


def read(labels: dict[str, str]) -> tuple[Registration, list[str]]:
    enabled = {"grpc-lb.enable": "true"} | {f"grpc-lb.{name}": text for name, text in labels.items()}
    reading = read_labels(enabled, mapped_ports=[1], default_service="orders", family="fam")
    assert reading.registration is not None
    return reading.registration, [str(error) for error in reading.errors]


def test_a_named_route_has_what_the_container_has_and_what_it_says_itself() -> None:
    registration, errors = read(
        {
            "hosts": "a.test, b.test",
            "grpc-services": ORDERS,
            "metadata": "x-tenant",
            "priority": "3",
            "routes.slow.methods": f"{ORDERS}/Export",
            "routes.slow.deadline.max": "1m",
            "routes.canary.hosts": "a.test",
            "routes.canary.metadata": "x-canary=yes",
            "routes.canary.priority": "9",
        }
    )
    tenant, canary = Condition("x-tenant"), Condition("x-canary", Match.EXACT, "yes")
    assert errors == []
    assert set(registration.routes) == {
        Route("a.test", ORDERS, (tenant,), priority=3),
        Route("b.test", ORDERS, (tenant,), priority=3),
        Route("a.test", ORDERS, (tenant,), "Export", 3, SLOW),
        Route("b.test", ORDERS, (tenant,), "Export", 3, SLOW),
        Route("a.test", ORDERS, (canary,), priority=9),
    }


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"methods": "a.B/C"}, [("a.B", "C")]),
        ({"methods": "a.B/C, a.B/D", "grpc-services": "x.Y"}, [("a.B", "C"), ("a.B", "D"), ("x.Y", "*")]),
        ({"methods": "a.B/C", "routes.r.grpc-services": "x.Y"}, [("a.B", "C"), ("x.Y", "*")]),
        ({"grpc-services": "x.Y", "routes.r.methods": "a.B/C"}, [("a.B", "C"), ("x.Y", "*")]),
        ({"grpc-services": "x.Y", "routes.r.methods": "", "routes.r.priority": "1"}, [("x.Y", "*")]),
    ],
)
def test_methods_stand_beside_grpc_services_that_are_named(
    labels: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    registration, errors = read(labels)
    assert errors == []
    assert [(route.grpc_service, route.method) for route in registration.routes] == expected


def test_an_empty_list_of_a_named_route_is_none_of_the_containers() -> None:
    registration, errors = read({"metadata": "x-tenant", "hosts": "a.test", "routes.all.metadata": ""})
    assert errors == []
    assert set(registration.routes) == {Route("a.test"), Route("a.test", metadata=(Condition("x-tenant"),))}


def test_of_routes_for_the_same_calls_the_higher_priority_counts_then_the_named_one() -> None:
    named, errors = read({"routes.b.deadline.max": "1m", "routes.c.deadline.max": "2m"})
    assert named.routes == (Route(overrides=SLOW),)
    higher, _ = read({"routes.b.deadline.max": "1m", "routes.c.priority": "1"})
    assert higher.routes == (Route(priority=1),)
    assert errors == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"routes.r.methods": "Get"}, "methods must be a comma-separated list, each a full method name such as"),
        ({"routes.r.hosts": ""}, "hosts must be a comma-separated list, each a host name without a port"),
        ({"routes.r.methods": "*/Get"}, "methods must be a comma-separated list"),
        ({"routes.r.metadata": "X=y"}, "metadata must be a comma-separated list of at most 256"),
        (
            {"routes.r.hosts": "b.test", "routes.r.priority": "-1"},
            "priority must be a whole number 0..1000000 (the route is not there now), got '-1'",
        ),
        ({"routes.r.hosts": ",".join(f"h{n}" for n in range(64))}, "hosts must leave hosts times grpc-services and "),
        (
            {"routes.r.methods": "a.B/C", "routes.r.grpc-services": "*"},
            "methods cannot be combined with grpc-lb.grpc-services of *",
        ),
        ({"routes.r.host": "b"}, "host must be one of the labels grpc-lb.routes.r.hosts, grpc-lb.routes.r.grpc-s"),
        (
            {"routes.r.retry.budget-min-concurrency": "1"},
            "budget-min-concurrency must be one of the labels grpc-lb.routes.r.hosts",
        ),
        ({"routes.r": "b"}, "r must be one of the labels grpc-lb.routes.r.hosts"),
        ({"routes.R.hosts": "b"}, "hosts must have a route's name of 1 to 63 of a-z, 0-9 and - after grpc-lb.routes."),
        ({"routes.r.deadline.max": "never"}, "max must be a time 1ms..24h"),
        ({"routes.r.deadline.default": "6s"}, "default must be at most deadline.max, got '6s'"),
        ({"routes.r.retry.per-try-timeout": "1h"}, "per-try-timeout needs retry.max-retries of 1 or more"),
        (
            {"routes.r.retry.max-retries": "3"},
            "max-retries must differ from the default, which for a route means as its ",
        ),
    ],
)
def test_invariant_11_a_bad_label_of_a_named_route_takes_out_no_more_than_it(bad: dict[str, str], message: str) -> None:
    """GIVEN a good service with a good named route WHEN another one is bad THEN the two stay as they were."""
    good = {
        "hosts": "a.test",
        "deadline.max": "5s",
        "retry.max-retries": "0",
        "routes.good.methods": f"{ORDERS}/Get",
        "routes.good.deadline.default": "4s",
    }
    without, none = read(good)
    registration, (error,) = read(good | bad)
    assert none == []
    assert error.startswith(message)
    assert any(f"(label grpc-lb.{label} of task family fam)" in error for label in bad)
    assert set(without.routes) <= set(registration.routes)
    assert all(route.host == "a.test" for route in registration.routes)


def test_a_label_that_may_be_meant_is_named() -> None:
    _, (error,) = read({"routes.slow.deadline.maximum": "5s"})
    assert "(grpc-lb.routes.slow.deadline.default?)" in error or "(grpc-lb.routes.slow.deadline.max?)" in error


def test_bad_conditions_of_the_container_take_out_the_named_routes_that_would_have_them() -> None:
    registration, (error,) = read(
        {
            "hosts": "a.test",
            "metadata": "No Condition",
            "routes.own.metadata": "x-a",
            "routes.none.metadata": "",
            "routes.inherits.priority": "1",
        }
    )
    assert error.startswith("metadata must be a comma-separated list of at most 256")
    assert set(registration.routes) == {Route("a.test"), Route("a.test", metadata=(Condition("x-a"),))}


def test_too_many_routes_of_the_container_leave_the_named_ones() -> None:
    hosts = ",".join(f"h{number}" for number in range(65))
    registration, errors = read({"hosts": hosts, "routes.few.hosts": "a.test", "routes.all.priority": "1"})
    assert [error.split(" must leave")[0] for error in errors] == ["hosts", "priority"]
    assert registration.routes == (Route("a.test"),)


def test_there_is_room_for_64_routes_in_all() -> None:
    labels = {f"routes.r{number:02}.hosts": f"h{number:02}" for number in range(70)}
    registration, errors = read(labels)
    assert len(registration.routes) == 64
    assert [error.split("(label ")[1] for error in errors] == [
        f"grpc-lb.routes.r{number}.hosts of task family fam)" for number in range(63, 70)
    ]


SERVICE = TrafficPolicy(
    deadline=Deadline(timedelta(seconds=5), timedelta(seconds=3)),
    retry=Retry(on=frozenset({RetryStatus.UNAVAILABLE}), max_retries=2, budget_min_concurrency=7),
)


def test_a_routes_settings_take_the_place_of_the_services() -> None:
    own = Overrides(Deadline(default=timedelta(seconds=1)), Retry(max_retries=1))
    assert own.over(SERVICE) == (
        replace(
            SERVICE,
            deadline=replace(SERVICE.deadline, default=timedelta(seconds=1)),
            retry=replace(SERVICE.retry, max_retries=1),
        ),
        (),
    )
    assert Overrides().over(SERVICE) == (SERVICE, ())


def test_what_the_service_says_gives_way_to_what_it_could_not_stand_beside() -> None:
    """GIVEN a service that tries UNAVAILABLE again WHEN a method of it must not be tried twice THEN it is not."""
    policy, refusals = Overrides(Deadline(timedelta(seconds=2)), Retry(max_retries=0)).over(SERVICE)
    assert refusals == ()
    assert policy.retry == Retry(max_retries=0, budget_min_concurrency=7)
    assert policy.deadline == Deadline(timedelta(seconds=2))


@given(overrides, policies)
def test_settings_of_a_route_and_of_its_service_are_always_a_policy(own: Overrides, policy: TrafficPolicy) -> None:
    merged, refusals = own.over(policy)
    assert replace(merged, deadline=policy.deadline, retry=policy.retry) == policy
    assert {refusal.label.removeprefix("grpc-lb.") for refusal in refusals} <= own.to_settings().keys()
    assert Overrides.from_settings(own.to_settings()) == (own, ())


@given(registrations)
def test_named_routes_written_are_named_routes_read(registration: Registration) -> None:
    labels = registration.to_labels()
    reading = read_labels(labels, mapped_ports=[registration.port], default_service="x", family="fam")
    assert reading == LabelReading(registration)


@given(routes)
def test_a_routes_record_fits_beside_others_in_one_parameter(route: Route) -> None:
    assert len(encode_document(Document((Service("rng", (route,)),)))) < 2048


def test_the_longest_route_fits_in_one_parameter() -> None:
    conditions = (Condition("k" * 64, Match.EXACT, '"' * 128), Condition("l" * 61, Match.ABSENT))
    host = ".".join(["h" * 63] * 3 + ["h" * 61])
    slow = {"deadline.max": "86399999ms", "deadline.default": "86399998ms", "retry.per-try-timeout": "3599999ms"}
    every = Overrides.from_settings(slow | {"retry.on": ",".join(RetryStatus), "retry.base-backoff": "59999ms"})[0]
    route = Route(host, "s" * 255, conditions, "m" * 128, 1_000_000, every)
    assert 1_200 < len(encode_document(Document((Service("rng", (route,)),)))) < 2048


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: Route(method="Get"),
            r"method must be a full method name such as rng.v1.RandomNumber/Get, got '\*/Get'",
        ),
        (lambda: Route("*", "a.B", method="C/D"), "method must be a full method name"),
        (lambda: Route(priority=1_000_001), r"priority must be 0\.\.1000000, got 1000001"),
        (lambda: RouteRule("r"), "route r must say something that the registration does not, got nothing"),
        (lambda: RouteRule("R", priority=1), "the name of a route must be 1 to 63 of a-z, 0-9 and -, got 'R'"),
        (lambda: RouteRule("r", methods=("a",)), "each of methods must be a full method name"),
        (
            lambda: Overrides(retry=Retry(budget_min_concurrency=1)),
            "budget_min_concurrency must be that of the whole service",
        ),
        (
            lambda: Registration("a", 1, rules=(RouteRule("r", priority=1), RouteRule("r", priority=2))),
            "rules must have names of their own, got r, r",
        ),
        (
            lambda: Registration(
                "a",
                1,
                policy=TrafficPolicy(deadline=Deadline(timedelta(seconds=1))),
                rules=(RouteRule("r", overrides=Overrides(Deadline(default=timedelta(seconds=2)))),),
            ),
            "grpc-lb.routes.r.deadline.default must be at most deadline.max",
        ),
        (
            lambda: Registration("a", 1, rules=(RouteRule("r", hosts=tuple(f"h{n}" for n in range(64))),)),
            "must be at most 64, with methods and rules, got 65",
        ),
    ],
)
def test_what_no_label_could_say_is_not_made(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()
