"""What Envoy leaves alone: deadlines, quiet streams, many streams, headers; and its readiness."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from proxy_image.control_plane.xds.envoy.listeners import ConnectionTimes
from tests.proxy_image.control_plane.calls import (
    messages_of,
    objects_with,
    reads,
    start,
)
from tests.proxy_image.control_plane.support import (
    STAY,
    STREAM,
    WHO,
    backends,
    balancer,
    eventually,
    rng,
    running_envoy,
    settings_for,
    who,
)


async def test_the_callers_deadline_is_the_servers_however_long_it_is(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_, envoy), envoy.channel() as channel:
        await who(channel, timeout=3600)
        await who(channel, timeout=None)
        long, none = a.time_left
        assert long == pytest.approx(3600, abs=5)
        assert none is None or none > 1e6


async def test_a_deadline_ends_the_call_at_the_server_too(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_, envoy), envoy.channel() as channel:
        call: Any = start(channel.unary_unary(STAY), timeout=0.3)
        assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        await eventually(lambda: reads(envoy.stat("cluster.rng.upstream_rq_active"), 0))


async def test_a_call_reaches_the_server_as_the_client_sent_it(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_, envoy), envoy.channel() as channel:
        call: Any = start(channel.unary_unary(WHO), metadata=(("asked", "yes"),))
        await call
        (seen,) = a.metadata
        assert seen.pop("asked") == "yes"
        assert set(seen) <= {"user-agent", "x-forwarded-proto", "accept-encoding"}
        answered = {key for key, _ in await call.initial_metadata()}
        assert answered <= {"accept-encoding", "grpc-accept-encoding", "date"}


async def test_invariant_8_no_default_cuts_a_stream(tmp_path: Path) -> None:
    """GIVEN connections that are renewed every half second WHEN a stream is quiet THEN it outlives many renewals."""
    times = ConnectionTimes(renew_seconds=0.3, drain_seconds=0.1)
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(a.target), times) as (_, envoy),
        envoy.channel() as quiet,
        envoy.channel() as busy,
    ):
        stream: Any = start(quiet.unary_stream(STREAM))
        assert await stream.read() == b"a"

        async def renewals() -> bool:
            await who(busy)
            return await envoy.stat("http.calls.downstream_cx_max_duration_reached") >= 4

        await eventually(renewals, "renewed connections")
        a.release.set()
        assert await stream.read() == b"end"
        assert await stream.code() == grpc.StatusCode.OK
        assert await envoy.stat("http.calls.downstream_rq_rx_reset") == 0


async def test_invariant_8_no_time_limit_of_envoys_own_is_left_in_the_configuration_it_uses(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_, envoy):
        dump = (await envoy.admin("/config_dump?include_eds")).json()["configs"]
        managers = [found for found in messages_of(dump, "HttpConnectionManager") if found["stat_prefix"] == "calls"]
        assert [manager["codec_type"] for manager in managers] == ["HTTP2", "HTTP1"]
        for manager in managers:
            # Envoy's own: 5 minutes for a quiet stream.
            assert manager["stream_idle_timeout"] == "0s"
            assert manager["request_timeout"] == "0s"
            assert manager["common_http_protocol_options"] == {
                "max_connection_duration": "600s",
                "max_connection_duration_jitter": {"value": 50},
                "max_headers_count": 2000,
            }
            assert manager["http2_protocol_options"]["connection_keepalive"] == {"interval": "60s", "timeout": "30s"}
        routes = [route["route"] for route in objects_with(dump, "route") if "cluster" in route["route"]]
        assert routes
        for route in routes:
            # Envoy's own: 15 s for a call.
            assert route["timeout"] == "0s"
            assert "idle_timeout" not in route
            # A timer of Envoy's own ends a stream whose headers are sent with a reset, which callers see as INTERNAL.
            assert not route.get("max_stream_duration")


async def test_a_targets_change_of_state_is_not_gathered_with_others_and_panic_is_off(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_, envoy):
        dump = (await envoy.admin("/config_dump")).json()["configs"]
        found = [one["cluster"] for one in objects_with(dump, "cluster") if isinstance(one["cluster"], dict)]
        (ours,) = [one for one in found if one["name"] == "rng"]
        # Envoy's own: gathered for 1 s; all targets, draining ones too, once fewer than half are healthy.
        assert ours["common_lb_config"] == {"healthy_panic_threshold": {}, "update_merge_window": "0s"}


async def test_more_streams_at_once_than_envoys_own_limit_of_1024(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        streams: list[Any] = []
        first: Counter[bytes] = Counter()
        for _ in range(10):  # grpcio's server refuses calls by chance when it has a thousand to start
            new: list[Any] = [start(channel.unary_stream(STREAM)) for _ in range(250)]
            first.update([await stream.read() for stream in new])
            streams += new
        assert first == {b"a": 1250, b"b": 1250}
        a.release.set()
        b.release.set()
        for stream in streams:
            assert await stream.read() == b"end"


async def test_readiness_is_answered_by_envoy_and_fails_on_request_while_calls_go_on(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_, envoy), envoy.channel() as channel:
        assert await envoy.readiness() == 200
        async with httpx.AsyncClient() as client:
            other = await client.get(f"http://127.0.0.1:{envoy.settings.ready_port}/else")
            assert other.status_code == 404
        await envoy.admin("/healthcheck/fail", "POST")
        assert await envoy.readiness() == 503
        assert await who(channel, 10) == {"a": 10}


async def test_a_balancer_without_a_document_is_never_ready(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with running_envoy(settings) as envoy:
        await eventually(lambda: settings.admin_socket.exists())
        await eventually(lambda: reads(envoy.stat("listener_manager.total_listeners_active"), 0))
        with pytest.raises(ConnectionRefusedError):
            await envoy.readiness()
