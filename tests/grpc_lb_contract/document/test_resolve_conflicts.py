from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import Condition, Document, Match, Route, RouteConflict, Service, resolve_conflicts
from tests.grpc_lb_contract.strategies import routes, service_names

EVERY = Route()
OWN = Route("b.internal", "*")


def test_invariant_11_a_second_service_never_takes_a_route_from_the_one_that_holds_it() -> None:
    held_by_b = Document((Service("b", (EVERY,)),))
    asking = [Service("a", (EVERY,)), Service("b", (EVERY,))]

    settled, conflicts = resolve_conflicts(asking, held_by_b)

    assert settled == (Service("a", ()), Service("b", (EVERY,)))
    assert conflicts == (RouteConflict(EVERY, holder="b", loser="a"),)


def test_a_route_that_nobody_holds_goes_to_the_first_by_name() -> None:
    settled, conflicts = resolve_conflicts([Service("b", (EVERY, OWN)), Service("a", (EVERY,))], None)

    assert Document(settled) == Document((Service("a", (EVERY,)), Service("b", (OWN,))))
    assert [conflict.loser for conflict in conflicts] == ["b"]


def test_of_those_that_ask_first_the_higher_priority_gets_a_route_and_keeps_it() -> None:
    low, high = Route(priority=1), Route(priority=2)
    asking = [Service("a", (low,)), Service("b", (high,))]

    settled, conflicts = resolve_conflicts(asking, None)
    assert settled == (Service("a", ()), Service("b", (high,)))
    assert conflicts == (RouteConflict(low, holder="b", loser="a"),)

    # AND WHEN the other one raises its own THEN the holder keeps it
    settled, _ = resolve_conflicts([Service("a", (Route(priority=3),)), Service("b", (low,))], Document(settled))
    assert settled == (Service("a", ()), Service("b", (low,)))


def test_routes_for_one_host_and_other_methods_or_conditions_do_not_meet() -> None:
    routes = [
        Route("*", "x.Y"),
        Route("*", "x.Y", method="Get"),
        Route("*", "x.Y", method="Put"),
        Route("*", "x.Y", (Condition("a"),)),
        Route("*", "x.Y", (Condition("a", Match.ABSENT),)),
    ]
    asking = tuple(Service(f"s{number}", (route,)) for number, route in enumerate(routes))

    assert resolve_conflicts(asking, None) == (asking, ())


def test_a_route_whose_holder_no_longer_asks_for_it_is_free() -> None:
    held_by_a = Document((Service("a", (EVERY,)),))

    settled, conflicts = resolve_conflicts([Service("a", ()), Service("b", (EVERY,))], held_by_a)

    assert settled == (Service("a", ()), Service("b", (EVERY,)))
    assert conflicts == ()


def test_the_loser_is_told_what_to_do() -> None:
    assert str(RouteConflict(EVERY, "a", "b")) == (
        "route of host * and gRPC service * must belong to one service, got b beside a, which holds it; "
        "give b a host or gRPC service of its own"
    )
    route = Route("a.test", "x.Y", (Condition("x-canary", Match.NOT_EXACT, "yes"),), "Get")
    assert str(RouteConflict(route, "a", "b")).startswith(
        "route of host a.test and method x.Y/Get with metadata x-canary!=yes must belong to one service, "
    )


@given(st.dictionaries(service_names, st.lists(routes, max_size=4)), st.data())
def test_every_route_asked_for_ends_with_one_service_that_asked(
    asked: dict[str, list[Route]], data: st.DataObject
) -> None:
    services = [Service(name, tuple(wanted)) for name, wanted in asked.items()]
    previous, _ = resolve_conflicts(services, None)
    shuffled = data.draw(st.permutations(services))

    settled, _ = resolve_conflicts(shuffled, Document(previous))

    given_out = [route.match for service in settled for route in service.routes]
    assert sorted(given_out) == sorted({route.match for service in services for route in service.routes})
    assert all(set(service.routes) <= set(asked[service.name]) for service in settled)
    assert Document(settled) == Document(previous)
