"""What the control plane knows of clients without a proxy: who they are, their calls, what they cannot follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.load_stats.v3 import lrs_pb2

from grpc_lb_contract import (
    Balancing,
    Deadline,
    Document,
    HealthCheck,
    Limits,
    Method,
    Mirror,
    OutlierDetection,
    Overrides,
    RateLimit,
    Retry,
    RetryStatus,
    Route,
    TrafficPolicy,
)
from proxy_image.control_plane.report.report import proxyless_of
from proxy_image.control_plane.xds.proxyless import load_reports
from proxy_image.control_plane.xds.proxyless.client_kind import (
    FIRST_VERSIONS,
    ClientKind,
    Feature,
    Language,
    read_client_kind,
)
from proxy_image.control_plane.xds.proxyless.load_reports import Reported, reported
from proxy_image.control_plane.xds.proxyless.unsupported_settings import unfollowed, unfollowed_of_routes
from tests.proxy_image.control_plane.policies import ms, treated
from tests.proxy_image.control_plane.support import backends, eventually, logged, service, target
from tests.proxy_image.control_plane.xds.proxyless.harness import LANGUAGES, xds_client


@pytest.mark.parametrize("language", LANGUAGES)
async def test_calls_that_a_client_makes_are_told_of(
    language: str, tmp_path: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_reports, "INTERVAL_SECONDS", 1.0)  # clients report no more often
    async with backends("a") as (a,), xds_client(language, tmp_path, zone="z1") as (client, plane):
        policy = TrafficPolicy(rate_limit=RateLimit(calls_per_second=1))
        await plane.serve(treated(policy, target(a.port, zone="z1")))
        await client.who(50)
        counts = plane.state.clients.calls.counts
        await eventually(lambda: sum(counts.values()) == 50)
        ((_, _, kind, _),) = counts
        assert counts == {("rng", "z1", kind, "ok"): 50}
        assert kind.startswith(language)
        value = plane.registry.get_sample_value(
            "grpc_lb_proxyless_calls_total", {"service": "rng", "zone": "z1", "client": kind, "outcome": "ok"}
        )
        assert value == 50
        found = proxyless_of(plane.state.clients)
        (group,) = found.clients
        assert (group.zone, group.clients, group.services) == ("z1", 1, ("rng",))
        assert group.name.startswith(language)
        (line,) = logged(caplog, "policy not followed by a client")
        assert (line["service"], line["label"]) == ("rng", "grpc-lb.rate-limit.calls-per-second")
        assert [each.label for each in found.unfollowed] == ["grpc-lb.rate-limit.calls-per-second"]
        client.process.kill()
        await eventually(lambda: not plane.state.clients.groups)


@pytest.mark.parametrize(
    ("agent", "version", "expected"),
    [
        ("gRPC C-core linux Python", "C-core 58.0.0 Python 1.85.1", (Language.CORE, "Python 1.85.1", True)),
        ("gRPC C-core linux Python", "C-core 31.0.0 Python 1.54.3", (Language.CORE, "Python 1.54.3", True)),
        ("gRPC C-core linux Python", "C-core 29.0.0 Python 1.51.3", (Language.CORE, "Python 1.51.3", False)),
        ("gRPC C-core linux", "C-core 15.0.0", (Language.CORE, "C-core 15.0.0", False)),
        ("gRPC C-core linux RUBY", "C-core 58.0.0 1.85.1", (Language.CORE, "Ruby 1.85.1", False)),
        ("gRPC C-core linux PHP", "C-core 44.0.0 1.72.0dev", (Language.CORE, "PHP 1.72.0", False)),
        ("gRPC Java", "1.68.0", (Language.JAVA, "Java 1.68.0", True)),
        ("gRPC Java", "1.36.0-SNAPSHOT", (Language.JAVA, "Java 1.36.0", False)),
        ("gRPC Go", "1.76.0-dev", (Language.GO, "Go 1.76.0", True)),
        ("gRPC Go", "1.40.0", (Language.GO, "Go 1.40.0", False)),
        ("gRPC Node Pure JS", "1.14.1", (Language.NODE, "Node 1.14.1", True)),
        ("gRPC Node Pure JS", "1.9.9", (Language.NODE, "Node 1.9.9", False)),
        ("gRPC Rust", "9.9.9", (Language.OTHER, "unknown", False)),
        ("gRPC Java", "soon", (Language.OTHER, "unknown", False)),
        ("", "", (Language.OTHER, "unknown", False)),
    ],
)
def test_a_client_is_known_by_its_node(agent: str, version: str, expected: tuple[Language, str, bool]) -> None:
    """The last of what is expected: whether it may be sent ring hash, which others reject."""
    kind = read_client_kind(base_pb2.Node(user_agent_name=agent, user_agent_version=version))
    assert (kind.language, kind.name, Feature.RING_HASH in kind.features) == expected


def test_a_client_of_an_unknown_language_is_sent_what_every_client_knows() -> None:
    assert ClientKind().features == frozenset()
    assert set(FIRST_VERSIONS) == set(Language)


@pytest.mark.parametrize(
    ("policy", "labels"),
    [
        (TrafficPolicy(), []),
        (TrafficPolicy(balancing=Balancing(method=Method.RANDOM)), ["balancing"]),
        (TrafficPolicy(balancing=Balancing(method=Method.LEAST_REQUEST)), ["balancing"]),
        (TrafficPolicy(balancing=Balancing(method=Method.RING_HASH, metadata_key="k")), []),
        (TrafficPolicy(balancing=Balancing(method=Method.MAGLEV, metadata_key="k")), ["balancing"]),
        (TrafficPolicy(deadline=Deadline(max=ms(5_000))), ["deadline.max"]),
        (TrafficPolicy(deadline=Deadline(default=ms(5_000))), ["deadline.default"]),
        (TrafficPolicy(retry=Retry(on=frozenset({RetryStatus.UNAVAILABLE}))), []),
        (TrafficPolicy(retry=Retry(on=frozenset({RetryStatus.UNAVAILABLE}), max_retries=9)), ["retry.max-retries"]),
        (TrafficPolicy(retry=Retry(per_try_timeout=ms(500))), ["retry.per-try-timeout"]),
        (TrafficPolicy(limits=Limits(requests=5)), []),
        (TrafficPolicy(limits=Limits(pending=5)), ["limits.pending"]),
        (TrafficPolicy(outlier_detection=OutlierDetection(success_rate=True)), []),
        (
            TrafficPolicy(outlier_detection=OutlierDetection(consecutive_gateway_failures=5)),
            ["outlier.consecutive-gateway-failures"],
        ),
        (TrafficPolicy(health_check=HealthCheck(enabled=True)), ["health-check"]),
        (TrafficPolicy(mirror=Mirror(service="other")), ["mirror.service"]),
    ],
)
def test_what_a_python_client_cannot_follow_is_told(policy: TrafficPolicy, labels: list[str]) -> None:
    kind = ClientKind(Language.CORE, (58, 0, 0), "Python 1.85.1")
    assert [each.label for each in unfollowed("rng", policy, kind)] == [f"grpc-lb.{label}" for label in labels]


def test_what_a_client_cannot_follow_of_a_route_of_its_own_is_told_too() -> None:
    own = Overrides(deadline=Deadline(default=ms(500), max=ms(900)), retry=Retry(per_try_timeout=ms(100)))
    exported = service("rng", target(1), routes=[Route(), Route(grpc_service="a.B", method="Export", overrides=own)])
    labels = [each.label for each in unfollowed_of_routes(exported, ClientKind(Language.JAVA, (1, 76), "Java 1.76"))]
    assert sorted(labels) == [
        "grpc-lb.routes.NAME.deadline.default",
        "grpc-lb.routes.NAME.retry.per-try-timeout",
    ]


def test_an_old_client_follows_less() -> None:
    policy = TrafficPolicy(
        balancing=Balancing(method=Method.RING_HASH, metadata_key="k"),
        deadline=Deadline(max=ms(5_000)),
        retry=Retry(on=frozenset({RetryStatus.UNAVAILABLE})),
    )
    labels = {each.label for each in unfollowed("rng", policy, ClientKind(Language.JAVA, (1, 36, 0), "Java 1.36.0"))}
    assert labels == {"grpc-lb.balancing", "grpc-lb.deadline.max", "grpc-lb.retry.on"}


def test_calls_to_what_is_no_service_are_passed_over() -> None:
    document = Document((service("rng", target(1)),))
    request = lrs_pb2.LoadStatsRequest()
    for name in ("rng", "other", "xdstp://a/envoy.config.cluster.v3.Cluster/rng"):
        stats = request.cluster_stats.add(cluster_name=name, total_dropped_requests=2**60)
        stats.upstream_locality_stats.add(total_successful_requests=3, total_error_requests=1)
    found = reported(request, {each.name for each in document.services})
    assert found == [Reported("rng", 3, 1, 10_000_000)] * 2
