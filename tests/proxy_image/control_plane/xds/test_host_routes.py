"""Labels are untrusted: however they multiply, the routes stay bounded, and honest hosts keep theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from grpc_lb_contract import Condition, Document, Route, TrafficPolicy, Web
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.sources.sink import Origin
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.envoy.listeners import Ports
from proxy_image.control_plane.xds.envoy.route_policy import RETRY_ON
from proxy_image.control_plane.xds.envoy.routes import route_configuration
from proxy_image.control_plane.xds.host_routes import MAX_ROUTES, HostRoutes
from tests.growth import assert_grows_in_proportion
from tests.proxy_image.control_plane.support import logged, service, target

HONEST = service("honest", target(1), routes=[Route("honest.test", "honest.v1.Honest")])


def hostile(containers: int, routes: int) -> Document:
    """Half of the containers ask for gRPC services of all hosts, half for hosts of their own."""
    asked = [
        service(
            f"hostile-{number}",
            routes=[
                Route("*", f"a{number}.v1.S{each}") if number % 2 else Route(f"h{each}.c{number}.test", "x.Y")
                for each in range(routes)
            ],
        )
        for number in range(containers)
    ]
    return Document((HONEST, *asked))


def hosts_of(configuration: Any) -> dict[str, Any]:
    return {host.name: host for host in configuration.virtual_hosts}


def count(configuration: Any) -> int:
    return sum(len(host.routes) for host in configuration.virtual_hosts)


@pytest.mark.parametrize(("containers", "routes"), [(16, 64), (16, 1000)])
def test_invariant_11_hostile_labels_make_no_product_of_hosts_and_routes(containers: int, routes: int) -> None:
    document = hostile(containers, routes)
    asked = sum(len(each.routes) for each in document.services)
    made: dict[int, Any] = {}

    def make(each: int) -> None:
        made[each] = route_configuration(hostile(containers, each), "calls")

    assert_grows_in_proportion(make, routes)
    configuration = made[routes]
    # THEN there are no more than the bound, or than what was asked for, with the last route of each host
    assert count(configuration) <= max(MAX_ROUTES, 2 * asked + 1)
    assert len(configuration.SerializeToString()) < 7_000_000
    # AND each host that was asked for has its own routes
    hosts = hosts_of(configuration)
    for each in document.services:
        for route in each.routes[:5]:
            prefixes = {one.match.prefix for one in hosts[route.host].routes}
            assert f"/{route.grpc_service}/" in prefixes


def test_invariant_11_nor_do_hostile_labels_about_grpc_web_fill_envoys_memory() -> None:
    """A route that browsers may take is large: by its CORS, and with the one for preflights beside it."""
    names = frozenset(f"x-{number}" for number in range(50))
    web = TrafficPolicy(web=Web(True, frozenset({"*"}), names, names))
    document = Document(tuple(replace(each, policy=web) for each in hostile(16, 64).services))
    configuration = route_configuration(document, "calls")
    assert len(configuration.SerializeToString()) < 10_000_000
    assert {route.host for each in document.services for route in each.routes} == hosts_of(configuration).keys()


def test_invariant_11_nor_do_many_conditions() -> None:
    conditions = tuple(Condition(f"k{number}") for number in range(64))
    document = Document(
        tuple(
            replace(each, routes=tuple(replace(route, metadata=conditions) for route in each.routes))
            for each in hostile(16, 64).services
        )
    )
    assert len(route_configuration(document, "calls").SerializeToString()) < 7_000_000


def test_who_makes_the_product_large_goes_without_copies_first() -> None:
    hosts = hosts_of(route_configuration(hostile(16, 64), "calls"))
    # its own, the 8 times 64 for all hosts, and the one that says that there is no route
    assert len(hosts["honest.test"].routes) == 1 + 8 * 64 + 1
    shortened = HostRoutes(hostile(16, 64)).shortened
    assert shortened is not None
    assert all(host.endswith(".test") and host != "honest.test" for host in shortened.hosts)
    assert shortened.routes_made <= MAX_ROUTES < shortened.routes_wanted


def test_a_large_honest_fleet_loses_nothing() -> None:
    """GIVEN 100 hosts with a gRPC service of their own, 500 that take all calls, and 100 services for all hosts."""
    document = Document(
        (
            *(service(f"own-{n}", routes=[Route(f"own-{n}.test", f"own{n}.v1.Own")]) for n in range(100)),
            *(service(f"all-{n}", routes=[Route(f"all-{n}.test")]) for n in range(500)),
            *(service(f"any-{n}", routes=[Route("*", f"any{n}.v1.Any")]) for n in range(100)),
        )
    )
    assert HostRoutes(document).shortened is None
    hosts = hosts_of(route_configuration(document, "calls"))
    assert {len(hosts[f"own-{n}.test"].routes) for n in range(100)} == {1 + 100 + 1}
    # a host whose service takes all calls needs no copy
    assert {len(hosts[f"all-{n}.test"].routes) for n in range(500)} == {1 + 1}


def test_routes_that_no_call_can_reach_are_not_made() -> None:
    """GIVEN a host whose calls one route takes by its priority WHEN others ask for some of them THEN it has none."""
    asked = [Route("a.test", f"a{n}.v1.A", (Condition("x"),), "M") for n in range(50)]
    asked += [Route("*", "b.v1.B"), Route("a.test", "b.v1.B", (Condition("x"),))]
    first = [Route("a.test", priority=1), Route("c.test", "b.v1.B", (Condition("x"),), priority=1)]
    document = Document((service("first", target(1), routes=first), service("asked", target(2), routes=asked)))
    hosts = hosts_of(route_configuration(document, "calls"))
    assert [route.route.cluster for route in hosts["a.test"].routes] == ["first", ""]
    assert [route.route.cluster for route in hosts["c.test"].routes] == ["first", "asked", ""]


def test_the_retry_policy_is_on_the_virtual_host_and_on_no_route() -> None:
    configuration = route_configuration(hostile(2, 3), "calls")
    for host in configuration.virtual_hosts:
        assert host.retry_policy.retry_on == RETRY_ON
        assert not any(route.route.HasField("retry_policy") for route in host.routes)


async def test_hosts_that_keep_only_their_own_routes_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    reconciler = Reconciler(SnapshotCache(), Ports("127.0.0.1", 1, 2), ControlPlaneState())
    document = hostile(16, 64)
    await reconciler.found(document, Origin.FILE)
    await reconciler.found(document, Origin.FILE)
    await reconciler.found(Document((*document.services, service("more", target(2), routes=[]))), Origin.FILE)
    (facts,) = logged(caplog, "routes not copied")
    assert facts["routes_made"] <= MAX_ROUTES < facts["routes_wanted"]
    assert facts["hosts"] > len(facts["hosts_named"]) == 20
    assert "grpc-lb.hosts" in facts["fix"]
    await reconciler.close()
