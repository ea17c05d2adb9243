"""Whatever policies are accepted as labels, Envoy accepts what is made of them, and gRPC clients never see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from hypothesis import given

from grpc_lb_contract import (
    Document,
    Group,
    Registration,
    Service,
    TrafficPolicy,
    decode_document,
    encode_document,
    read_labels,
    resolve_conflicts,
)
from proxy_image.control_plane.xds.envoy.listeners import ConnectionTimes, Ports, listeners
from proxy_image.control_plane.xds.envoy.routes import route_configuration
from proxy_image.control_plane.xds.envoy.tls import find_system_cas
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType
from proxy_image.control_plane.xds.snapshot_maker import snapshot
from tests.grpc_lb_contract.label_sets import MANY_SETS, MAPPED_PORT, SETS, label_sets
from tests.grpc_lb_contract.strategies import policies
from tests.proxy_image.control_plane.support import ControlPlane, balancer, eventually, rng, service, target

SERVICES_AT_ONCE = 500


def served(number: int, registration: Registration) -> Service:
    """What a registration asks for; most at hosts of their own, where no other has their routes already."""
    routes = registration.routes
    if number % 25:
        routes = tuple(replace(route, host=f"{route.host}.{number}.test".removeprefix("*.")) for route in routes)
    targets = (
        target(1, group="blue", zone="a"),
        target(2, group="blue", zone="b", draining=True),
        target(3, group="green"),
    )
    weight = 1 if registration.weight is None else registration.weight
    return Service(f"s{number}", routes, (Group("blue", weight), Group("green", 5)), targets, registration.policy)


def documents(count: int) -> Iterator[Document]:
    """All that is accepted of so many label sets, a few hundred services at a time."""
    services: list[Service] = []
    for labels in label_sets(count):
        registration = read_labels(labels, mapped_ports=[MAPPED_PORT], default_service="rng", family="fam").registration
        if registration is not None:
            services.append(served(len(services), registration))
        if len(services) == SERVICES_AT_ONCE:
            yield Document(resolve_conflicts(services, None)[0])
            services = []
    yield Document(resolve_conflicts(services, None)[0])


@pytest.mark.parametrize("count", [SETS // 2, pytest.param(MANY_SETS, marks=pytest.mark.long)])
async def test_envoy_accepts_every_configuration_made_of_what_is_accepted_of_label_sets(
    tmp_path: Path, count: int
) -> None:
    async with balancer(tmp_path, rng(target(1)), system_cas=find_system_cas()) as (plane, envoy):
        seen: Counter[str] = Counter()
        for document in documents(count):
            seen.update(services=len(document.services), routes=sum(len(one.routes) for one in document.services))
            assert decode_document(encode_document(document)) == document
            await plane.serve(document, f"after {seen['services']} services")

            async def is_answered() -> bool:
                assert plane.cache.snapshot is not None
                resources = plane.cache.snapshot.audiences[Audience.ENVOY]
                return any(rejections(plane).values()) or (
                    await envoy.text("cluster_manager.cds.version_text") == resources.version(ResourceType.CLUSTER)
                    and await envoy.text("http.calls.rds.calls.version_text") == resources.version(ResourceType.ROUTES)
                )

            await eventually(is_answered, "clusters and routes in Envoy")
            assert not any(rejections(plane).values()), f"{rejections(plane)}, {envoy.log.read_text()[-3000:]}"
        assert seen["services"] > 0.8 * count
        assert seen["routes"] > 3 * seen["services"]


def rejections(plane: ControlPlane) -> dict[str, float | None]:
    return {
        kind: plane.registry.get_sample_value("grpc_lb_xds_rejections_total", {"audience": "envoy", "type": kind})
        for kind in ("CDS", "EDS", "LDS", "RDS")
    }


def test_what_nobody_asked_for_costs_no_call_anything() -> None:
    calls, _readiness = listeners(Ports("127.0.0.1", 1, 2), ConnectionTimes())
    manager = http_connection_manager_pb2.HttpConnectionManager()
    assert calls.filter_chains[0].filters[0].typed_config.Unpack(manager)
    *switched_off, router = manager.http_filters
    assert all(each.disabled for each in switched_off)
    assert router.name == "envoy.filters.http.router"
    routes = route_configuration(Document((service("rng", target(1)),)), "calls")
    assert not any(route.typed_per_filter_config for host in routes.virtual_hosts for route in host.routes)


@given(policies)
def test_a_policy_makes_the_same_resources_again_and_leaves_listeners_and_targets_alone(policy: TrafficPolicy) -> None:
    ports = Ports("127.0.0.1", 1, 2)
    treated = Document((replace(service("rng", target(1)), policy=policy),))
    plain = Document((service("rng", target(1)),))
    first, second, without = (
        snapshot(document, ports, system_cas=Path("cas.pem")).audiences[Audience.ENVOY]
        for document in (treated, treated, plain)
    )
    assert first == second
    # A listener that changes would end the connections of every service's clients.
    for kind in (ResourceType.LISTENER, ResourceType.ENDPOINTS):
        assert first.version(kind) == without.version(kind)
