"""TLS from the balancer to the targets: what is verified, and what happens where it does not hold."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from grpc_lb_contract import Document, HealthCheck, Route, Tls, TlsVerify, TrafficPolicy
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.sources.sink import Origin
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.envoy import tls
from proxy_image.control_plane.xds.envoy.listeners import Ports
from tests.proxy_image.control_plane.calls import channel_to, failure_of
from tests.proxy_image.control_plane.certificates import Certificate, authority
from tests.proxy_image.control_plane.policies import codes, ms, treated
from tests.proxy_image.control_plane.policy.test_resilience import NOT_SERVING, SERVING, HealthOf
from tests.proxy_image.control_plane.support import backends, balancer, eventually, logged, service, target, who

CA = authority()
SERVER = CA.signs("numbers.test")
STRANGER = authority().signs("numbers.test")
OK, UNAVAILABLE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE
NAMED = {"server_name": "numbers.test", "verify": TlsVerify.SYSTEM}


async def test_calls_and_streams_go_by_tls_to_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    policy = TrafficPolicy(tls=Tls(enabled=True))
    async with (
        backends("a", "b", credentials=STRANGER.credentials) as (a, b),
        balancer(tmp_path, treated(policy, a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        assert await who(channel, 10) == {"a": 5, "b": 5}
        assert await envoy.stat("cluster.rng.ssl.handshake") == 2


async def test_without_the_label_a_server_with_tls_is_not_reached(tmp_path: Path) -> None:
    async with (
        backends("a", credentials=SERVER.credentials) as (a,),
        balancer(tmp_path, treated(TrafficPolicy(), a.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        assert await failure_of(channel) == UNAVAILABLE


async def test_while_a_deployment_switches_it_on_calls_are_tried_again_where_it_is_on(tmp_path: Path) -> None:
    """GIVEN a new task with TLS beside an old one without THEN no call fails: none has left before the handshake."""
    async with (
        backends("old") as (old,),
        backends("new", credentials=SERVER.credentials) as (new,),
        balancer(tmp_path, treated(TrafficPolicy(tls=Tls(enabled=True)), old.target, new.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        assert await who(channel, 50) == {"new": 50}


PINNED = {"pins": frozenset({SERVER.pin})}
CASES: list[tuple[dict[str, Any], Certificate, bool]] = [
    (NAMED, SERVER, True),
    (NAMED, STRANGER, False),
    ({**NAMED, "server_name": "other.test"}, SERVER, False),
    (PINNED, SERVER, True),
    (PINNED, STRANGER, False),
    ({"pins": frozenset({STRANGER.pin, SERVER.pin})}, SERVER, True),
    ({**NAMED, "pins": frozenset({STRANGER.pin})}, SERVER, False),
    # Without verification the name is asked for only.
    ({"server_name": "other.test"}, SERVER, True),
]


async def test_what_a_certificate_is_held_to(tmp_path: Path) -> None:
    """One service for each case, at a host of its own."""
    async with (
        backends("vouched", credentials=SERVER.credentials) as (vouched,),
        backends("stranger", credentials=STRANGER.credentials) as (stranger,),
    ):
        by_certificate = {SERVER: vouched, STRANGER: stranger}
        document = Document(
            tuple(
                replace(
                    service(f"case-{number}", by_certificate[server].target, routes=[Route(f"case-{number}.test")]),
                    policy=TrafficPolicy(tls=Tls(enabled=True, **settings)),
                )
                for number, (settings, server, _) in enumerate(CASES)
            )
        )
        async with balancer(tmp_path, document, system_cas=CA.write(tmp_path / "cas.pem")) as (_, envoy):
            for number, (settings, server, taken) in enumerate(CASES):
                seen = by_certificate[server].seen["who"]
                async with channel_to(envoy, f"case-{number}.test") as channel:
                    assert await codes(channel, 1) == {OK if taken else UNAVAILABLE: 1}, settings
                assert by_certificate[server].seen["who"] - seen == taken, settings


async def test_a_target_is_asked_for_http_2_and_by_the_servers_name(tmp_path: Path) -> None:
    """As gRPC servers want it of a client, and servers of many names; of a health check too."""
    handshakes = []

    async def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handshakes.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.close()

    context = SERVER.server_context(tmp_path)
    context.set_alpn_protocols(["http/1.1", "h2"])
    names = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    server = await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=context)
    policy = TrafficPolicy(
        tls=Tls(enabled=True, server_name="numbers.test"), health_check=HealthCheck(enabled=True, interval=ms(100))
    )
    async with (
        server,
        balancer(tmp_path, treated(policy, target(server.sockets[0].getsockname()[1]))) as (_, envoy),
        envoy.channel() as channel,
    ):
        await failure_of(channel)
        await eventually(lambda: len(handshakes) > 2)
    assert set(handshakes) == {"h2"}
    assert set(names) == {"numbers.test"}


async def test_health_checks_go_by_tls_too(tmp_path: Path) -> None:
    policy = TrafficPolicy(
        tls=Tls(enabled=True, pins=frozenset({SERVER.pin})),
        health_check=HealthCheck(enabled=True, interval=ms(100), unhealthy_threshold=1),
    )
    async with backends("a", credentials=SERVER.credentials) as (a,):
        health = HealthOf(a)
        async with balancer(tmp_path, treated(policy, a.target)) as (_, envoy), envoy.channel() as channel:
            for answer, status in ((SERVING, OK), (NOT_SERVING, UNAVAILABLE), (SERVING, OK)):
                health.answer = answer

                async def is_answered(expected: grpc.StatusCode = status) -> bool:
                    return await codes(channel, 1) == {expected: 1}

                await eventually(is_answered, f"{status}")


async def test_without_a_file_of_cas_nothing_is_rejected_and_no_target_gets_a_call_unverified(tmp_path: Path) -> None:
    verified = TrafficPolicy(tls=Tls(enabled=True, **NAMED))  # type: ignore[arg-type]  # each under its own name
    async with (
        backends("a", credentials=SERVER.credentials) as (a,),
        balancer(tmp_path, treated(verified, a.target)) as (plane, envoy),
        envoy.channel() as channel,
    ):
        assert await failure_of(channel) == UNAVAILABLE
        assert not a.seen
        labels = {"audience": "envoy", "type": "CDS"}
        assert plane.registry.get_sample_value("grpc_lb_xds_rejections_total", labels) == 0


async def test_a_missing_file_of_cas_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    verified = TrafficPolicy(tls=Tls(enabled=True, **NAMED))  # type: ignore[arg-type]  # each under its own name
    reconciler = Reconciler(SnapshotCache(), Ports("127.0.0.1", 1, 2), ControlPlaneState())
    for port in (1, 2):
        await reconciler.found(treated(verified, target(port)), Origin.SSM)
    (fact,) = logged(caplog, "policy not applied")
    assert (fact["service"], fact["label"], fact["value"]) == ("rng", "grpc-lb.tls.verify", "system")
    assert "SSL_CERT_FILE" in fact["problem"]
    await reconciler.close()


def test_the_systems_cas_are_the_file_that_is_named_or_the_first_that_holds_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    mine, theirs = CA.write(tmp_path / "mine.pem"), CA.write(tmp_path / "theirs.pem")
    monkeypatch.setattr(tls, "BUNDLES", (str(tmp_path / "missing.pem"), str(empty), str(theirs)))
    monkeypatch.setenv("SSL_CERT_FILE", str(empty))
    assert tls.find_system_cas() == theirs
    monkeypatch.setenv("SSL_CERT_FILE", str(mine))
    assert tls.find_system_cas() == mine
    monkeypatch.setenv("SSL_CERT_FILE", str(empty))
    monkeypatch.setattr(tls, "BUNDLES", (str(tmp_path),))
    assert tls.find_system_cas() is None
