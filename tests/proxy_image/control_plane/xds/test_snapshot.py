from __future__ import annotations

import socket
from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import Condition, Document, Match, Route
from proxy_image.control_plane.xds.endpoints import endpoints
from proxy_image.control_plane.xds.envoy.clusters import cluster
from proxy_image.control_plane.xds.envoy.listeners import ConnectionTimes, Ports, listeners
from proxy_image.control_plane.xds.envoy.routes import route_configuration
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType
from proxy_image.control_plane.xds.snapshot import InconsistentSnapshotError, Resource, Resources
from proxy_image.control_plane.xds.snapshot_maker import snapshot
from tests.proxy_image.control_plane.support import service, target

PORTS = Ports("127.0.0.1", 1, 2)
RNG = service("rng", target(1))


def parts(**changed: Any) -> dict[str, Any]:
    document = Document((RNG,))
    good = {
        "clusters": [cluster(RNG)],
        "endpoints": [endpoints(RNG)],
        "listeners": listeners(PORTS, ConnectionTimes()),
        "routes": [route_configuration(document, "calls")],
    }
    return {**good, **changed}


def made(messages: dict[str, Any]) -> Resources:
    return Resources.of(**{kind: map(Resource.of, of_kind) for kind, of_kind in messages.items()})


def test_what_is_made_of_one_document_is_consistent() -> None:
    assert made(parts()).by_type[ResourceType.CLUSTER].keys() == {"rng"}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"clusters": []}, "names cluster rng, which is not there"),
        ({"endpoints": []}, "endpoints rng are named and not there"),
        ({"endpoints": [endpoints(RNG), endpoints(service("two"))]}, "endpoints two are there and nothing names them"),
        ({"routes": []}, "routes calls are named and not there"),
        ({"routes": [route_configuration(Document((RNG,)), "other")]}, "routes other are there"),
        ({"clusters": [cluster(RNG), cluster(RNG)]}, "cluster rng is there twice"),
        ({"listeners": []}, "routes calls are there and nothing names them"),
    ],
)
def test_an_inconsistent_snapshot_is_not_made(changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(InconsistentSnapshotError, match=problem):
        made(parts(**changed))


names = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
conditions = st.sampled_from(
    [
        Condition("a", Match.EXACT, "1"),
        Condition("a", Match.NOT_EXACT, "1"),
        Condition("b"),
        Condition("b", Match.ABSENT),
    ]
)
routes = st.builds(
    lambda host, called, metadata, priority: Route(host, called[0], tuple(metadata), called[1], priority),
    st.sampled_from(["*", "a.test", "*.test", "b.a.test", "*.a.test"]),
    st.sampled_from([("*", "*"), ("x.Y", "*"), ("x.Y", "M"), ("z.Q", "*"), ("z.Q", "M")]),
    st.just([]) | st.lists(conditions, max_size=2),
    st.sampled_from([0, 0, 0, 1, 2]),
)
services = st.builds(
    lambda name, ports, of: service(name, *(target(port) for port in ports), routes=of),
    names,
    st.lists(st.integers(1, 65535), max_size=3, unique=True),
    st.lists(routes, max_size=3),
)
documents = st.lists(services, max_size=4, unique_by=lambda one: one.name).map(lambda of: Document(tuple(of)))


@given(documents)
def test_every_document_makes_a_consistent_snapshot_and_the_same_one_again(document: Document) -> None:
    first, second = snapshot(document, PORTS), snapshot(document, PORTS)
    for audience in Audience:
        for kind in ResourceType:
            assert first.audiences[audience].version(kind) == second.audiences[audience].version(kind)


@given(documents)
def test_the_route_that_takes_a_call_is_the_one_that_the_contract_promises(document: Document) -> None:
    """Envoy's own rule (the longest domain, then the first route that fits) gives it."""
    configuration = route_configuration(document, "calls")
    by_domain = {host.domains[0]: host for host in configuration.virtual_hosts}
    for authority in ("a.test", "b.a.test", "c.a.test", "other.test", "elsewhere"):
        fitting = sorted((domain for domain in by_domain if _fits(domain, authority)), key=len, reverse=True)
        exact = authority if authority in by_domain else fitting[0]
        for path, metadata in product(("/x.Y/M", "/x.Y/N", "/z.Q/M", "/other.S/M"), ({}, {"a": "1"}, {"b": "2"})):
            taken = next(route for route in by_domain[exact].routes if _is_taken(route.match, path, metadata))
            expected = _promised(document, authority, path, metadata)
            assert (taken.route.cluster if taken.HasField("route") else None) in expected


def _fits(host: str, authority: str) -> bool:
    return host in ("*", authority) or (host.startswith("*.") and authority.endswith(host[1:]))


def _is_taken(match: Any, path: str, metadata: Mapping[str, str]) -> bool:
    fits = path == match.path if match.HasField("path") else path.startswith(match.prefix)
    sent = {"content-type": "application/grpc", **metadata}
    return fits and all(_header_fits(header, sent.get(header.name)) for header in match.headers)


def _header_fits(header: Any, value: str | None) -> bool:
    if header.HasField("present_match"):
        return bool(header.present_match) == (value is not None)
    asked, text = header.string_match, value or ""
    matches: bool = text.startswith(asked.prefix) if asked.HasField("prefix") else asked.exact == text
    return matches is not bool(header.invert_match)


def _condition_fits(condition: Condition, metadata: Mapping[str, str]) -> bool:
    value = metadata.get(condition.key)
    return {
        Match.EXACT: value == condition.value,
        Match.NOT_EXACT: value != condition.value,
        Match.PRESENT: value is not None,
        Match.ABSENT: value is None,
    }[condition.match]


def _promised(document: Document, authority: str, path: str, metadata: Mapping[str, str]) -> set[str | None]:
    _, grpc_service, method = path.split("/")
    ranked: dict[tuple[int, int, int, bool, bool], set[str | None]] = {}
    for each in document.services:
        for route in each.routes:
            if (
                _fits(route.host, authority)
                and route.grpc_service in ("*", grpc_service)
                and route.method in ("*", method)
                and all(_condition_fits(condition, metadata) for condition in route.metadata)
            ):
                length = 99 if route.host == authority else len(route.host)
                specific = (route.method != "*", route.grpc_service != "*")
                rank = (length, route.priority, len(route.metadata), *specific)
                ranked.setdefault(rank, set()).add(each.name)
    return ranked[max(ranked)] if ranked else {None}


def test_draining_targets_stay_known_so_that_their_calls_finish() -> None:
    assignment = endpoints(service("rng", target(1), target(2, draining=True)))
    statuses = [host.health_status for locality in assignment.endpoints for host in locality.lb_endpoints]
    assert sorted(statuses) == [0, 3]  # UNKNOWN, DRAINING


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has TCP_USER_TIMEOUT")
def test_a_target_that_takes_no_data_for_less_than_half_a_minute_keeps_its_streams() -> None:
    """GIVEN that the kernel counts a window of zero too, THEN only time tells a lost host from a slow one."""
    options = {option.name: option.int_value for option in cluster(RNG).upstream_bind_config.socket_options}
    assert options == {socket.TCP_USER_TIMEOUT: 30_000}


def test_targets_of_a_zone_are_one_locality() -> None:
    assignment = endpoints(service("rng", target(1, zone="a"), target(2, zone="b"), target(3, zone="a")))
    assert [(locality.locality.zone, len(locality.lb_endpoints)) for locality in assignment.endpoints] == [
        ("a", 2),
        ("b", 1),
    ]


CLUSTER_FIELDS = {"name", "type", "eds_cluster_config", "circuit_breakers", "lrs_server"}


def test_grpc_clients_are_sent_round_robin_and_nothing_that_they_reject() -> None:
    envelope = snapshot(Document((RNG,)), PORTS).audiences[Audience.GRPC].by_type[ResourceType.CLUSTER]["rng"].envelope
    message = cluster_pb2.Cluster()
    assert envelope.Unpack(message)
    assert {field.name for field, _ in message.ListFields()} == CLUSTER_FIELDS
    assert message.lb_policy == cluster_pb2.Cluster.ROUND_ROBIN
