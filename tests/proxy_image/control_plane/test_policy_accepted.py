"""Whatever policies are accepted as labels, Envoy accepts what is made of them, and gRPC clients never see it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import Document, Group, Route, Service, TrafficPolicy
from grpc_lb_contract.policy import TABLE
from proxy_image.control_plane.xds.grpc_clients import grpc_messages
from proxy_image.control_plane.xds.listeners import ConnectionTimes, Ports, listeners
from proxy_image.control_plane.xds.resources import snapshot
from proxy_image.control_plane.xds.routes import route_configuration
from proxy_image.control_plane.xds.tls import find_system_cas
from proxy_image.control_plane.xds.types import Audience, ResourceType
from tests.grpc_lb_contract.strategies import policies
from tests.proxy_image.control_plane.support import balancer, eventually, rng, service, target

WORDS = ["true", "x-key", "a.B", "UNAVAILABLE", "CANCELLED,INTERNAL", "ABORTED", "s1", "a.test", "none", "system"]
LISTS = ["*", "https://a.test,http://b.test:8080", "x-key,authorization", "A" * 43 + "="]
METHODS = ["round-robin", "least-request", "random", "ring-hash", "maglev"]
NUMBERS = ["0", "0.0001", "0.5", "1", "2", "10", "99.9999", "100", "1000", "1000000"]
TIMES = ["1ms", "10ms", "20ms", "100ms", "1s", "59s", "1m", "1h", "24h"]


def any_policy(chance: Random) -> TrafficPolicy:
    """Every setting is at its default, at an end of what it allows, or between them."""
    texts = {}
    for row in TABLE:
        allowed = [
            text for text in WORDS + LISTS + METHODS + NUMBERS + TIMES if row.setting.kind.read(text) is not None
        ]
        if chance.random() < 0.4:
            texts[row.setting.label] = chance.choice(allowed)
    return TrafficPolicy.from_settings(texts)[0]


def any_service(chance: Random, number: int) -> Service:
    weights = [chance.choice([0, 1, 5, 1000]) for _ in range(2)]
    return replace(
        service(
            f"s{number}",
            target(1, group="blue", zone="a"),
            target(2, group="blue", zone="b", draining=True),
            target(3, group="green"),
            routes=[Route(f"s{number}.test")],
        ),
        groups=(Group("blue", weights[0]), Group("green", weights[1])),
        policy=any_policy(chance),
    )


async def test_envoy_accepts_what_is_made_of_any_accepted_policies(tmp_path: Path) -> None:
    chance = Random(4)  # noqa: S311 - a fixed order, so that a failure comes again
    async with balancer(tmp_path, rng(target(1)), system_cas=find_system_cas()) as (plane, envoy):
        for batch in range(2):
            services = tuple(any_service(chance, number) for number in range(100))
            # Health checks of targets that are not there would keep the clusters from becoming ready.
            services = tuple(
                replace(each, policy=replace(each.policy, health_check=TrafficPolicy().health_check))
                if batch == 0
                else each
                for each in services
            )
            before = await envoy.stat("http.calls.rds.calls.update_success") if batch == 0 else 0
            await plane.serve(Document(services))

            async def taken(before: int = before, batch: int = batch) -> bool:
                clusters = await envoy.stat("cluster_manager.cds.update_success")
                routes = await envoy.stat("http.calls.rds.calls.update_success")
                return clusters > batch + 1 and (batch == 1 or routes > before)

            await eventually(taken, "an update", 20)
        for kind in ("CDS", "EDS", "LDS", "RDS"):
            labels = {"audience": "envoy", "type": kind}
            rejections = plane.metrics.registry.get_sample_value("grpc_lb_xds_rejections_total", labels)
            assert rejections == 0, (kind, envoy.log.read_text()[-3000:])


@given(policies, st.integers(0, 1000))
def test_no_policy_reaches_grpc_clients(policy: TrafficPolicy, weight: int) -> None:
    plain = service("rng", target(1, group="blue"), target(2, group="green"))
    plain = replace(plain, groups=(Group("blue", weight), Group("green", 5)))
    treated = replace(plain, policy=policy)
    assert grpc_messages(treated) == grpc_messages(plain)


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
