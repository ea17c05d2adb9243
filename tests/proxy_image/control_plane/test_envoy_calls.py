"""Calls through a real Envoy that is configured by nothing but our ADS server."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from grpc_lb_contract import Document, Route
from proxy_image.control_plane.xds.listeners import ConnectionTimes
from tests.proxy_image.control_plane.support import (
    GRPC_SERVICE,
    STAY,
    STREAM,
    WHO,
    backends,
    balancer,
    eventually,
    rng,
    running_envoy,
    service,
    settings_for,
    target,
    who,
)


async def test_a_hundred_calls_on_one_connection_are_fifty_for_each_of_two_targets(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        assert await who(channel, 100) == {"a": 50, "b": 50}


async def test_zones_do_not_change_the_shares(tmp_path: Path) -> None:
    async with backends("a", "b", "c") as (a, b, c):
        document = rng(target(a.port, zone="z1"), target(b.port, zone="z1"), target(c.port, zone="z2"))
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            assert await who(channel, 90) == {"a": 30, "b": 30, "c": 30}


async def test_a_new_target_gets_its_share_of_calls_on_a_connection_that_was_there_before(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target)) as (plane, envoy),
        envoy.channel() as channel,
    ):
        assert await who(channel, 10) == {"a": 10}
        await plane.serve(rng(a.target, b.target))
        await envoy.has(a.port, b.port)
        assert await who(channel, 10) == {"a": 5, "b": 5}


async def test_invariant_4_a_task_told_to_stop_gets_no_new_call_and_its_calls_finish(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target, b.target)) as (plane, envoy),
        envoy.channel() as channel,
    ):
        streams: list[Any] = [start(channel.unary_stream(STREAM)) for _ in range(2)]
        started = {await stream.read() for stream in streams}
        assert started == {b"a", b"b"}
        await plane.serve(rng(target(a.port, draining=True), b.target))
        await eventually(lambda: _is(envoy.endpoints(), {a.port: "DRAINING", b.port: "HEALTHY"}))
        assert await who(channel, 20) == {"b": 20}
        await plane.serve(rng(b.target))
        await envoy.has(b.port)
        assert await who(channel, 20) == {"b": 20}
        assert a.seen["who"] == 0
        a.release.set()
        b.release.set()
        assert [await stream.read() for stream in streams] == [b"end", b"end"]
        assert [await stream.code() for stream in streams] == [grpc.StatusCode.OK] * 2


async def test_a_service_whose_targets_all_drain_answers_unavailable(tmp_path: Path) -> None:
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(target(a.port, draining=True))) as (_, envoy),
        envoy.channel() as channel,
    ):
        assert await _failure(channel) == grpc.StatusCode.UNAVAILABLE
        assert a.seen["who"] == 0


async def test_a_service_that_leaves_the_document_finishes_its_calls(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        both = Document(
            (
                service("one", a.target, routes=[Route("one.test")]),
                service("two", b.target, routes=[Route("two.test")]),
            )
        )
        async with balancer(tmp_path, both) as (plane, envoy), _to(envoy, "one.test") as one:
            stream: Any = start(one.unary_stream(STREAM))
            assert await stream.read() == b"a"
            await plane.serve(Document((service("two", b.target, routes=[Route("two.test")]),)))
            await eventually(lambda: _is(envoy.endpoints("one"), {}))
            assert await _failure(one) == grpc.StatusCode.UNIMPLEMENTED
            a.release.set()
            assert await stream.read() == b"end"


async def test_while_services_come_and_go_no_call_to_another_fails(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        one = service("one", a.target)
        two = service("two", b.target, routes=[Route("*", GRPC_SERVICE)])
        async with balancer(tmp_path, Document((one,))) as (plane, envoy), envoy.channel() as channel:
            answers: Counter[str] = Counter()
            stop = asyncio.Event()

            async def call() -> None:
                while not stop.is_set():
                    answers.update(await who(channel))

            calling = [asyncio.create_task(call()) for _ in range(4)]
            for turn in range(20):
                # The catch-all route stands for the specific one whenever that is away.
                await plane.serve(Document((one, two) if turn % 2 == 0 else (one,)))
                await asyncio.sleep(0.05)
            stop.set()
            await asyncio.gather(*calling)
            assert answers["a"] > 0
            assert answers["b"] > 0


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        ("one.test", "a"),
        ("one.test:50051", "a"),
        ("x.wild.test", "b"),
        ("elsewhere.test", "c"),
    ],
)
async def test_hosts_lead_to_their_services(tmp_path: Path, authority: str, expected: str) -> None:
    async with backends("a", "b", "c") as (a, b, c):
        document = Document(
            (
                service("one", a.target, routes=[Route("one.test")]),
                service("wild", b.target, routes=[Route("*.wild.test")]),
                service("rest", c.target, routes=[Route("*", GRPC_SERVICE)]),
            )
        )
        async with balancer(tmp_path, document) as (_, envoy), _to(envoy, authority) as channel:
            assert await who(channel, 1) == {expected: 1}


async def test_a_specific_host_takes_the_calls_for_all_hosts_that_it_has_no_route_for(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        document = Document(
            (
                service("one", a.target, routes=[Route("one.test", "other.Service")]),
                service("rest", b.target, routes=[Route("*", GRPC_SERVICE)]),
            )
        )
        async with balancer(tmp_path, document) as (_, envoy), _to(envoy, "one.test") as channel:
            assert await who(channel, 1) == {"b": 1}


async def test_a_call_that_no_service_takes_is_told_so_in_grpc(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        document = Document((service("one", a.target, routes=[Route("one.test", GRPC_SERVICE)]),))
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await who(channel)
            assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED
            assert "grpc-lb.hosts" in (failed.value.details() or "")


async def test_a_service_without_targets_answers_unavailable_and_the_others_serve(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        document = Document((service("empty", routes=[Route("empty.test")]), service("rng", a.target)))
        async with (
            balancer(tmp_path, document) as (_, envoy),
            envoy.channel() as channel,
            _to(envoy, "empty.test") as empty,
        ):
            assert await _failure(empty) == grpc.StatusCode.UNAVAILABLE
            assert await who(channel, 1) == {"a": 1}


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
        await eventually(lambda: _is(envoy.stat("cluster.rng.upstream_rq_active"), 0))


async def test_a_call_reaches_the_server_as_the_client_sent_it(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_, envoy), envoy.channel() as channel:
        call: Any = start(channel.unary_unary(WHO), metadata=(("asked", "yes"),))
        await call
        (seen,) = a.metadata
        assert seen.pop("asked") == "yes"
        assert set(seen) <= {"user-agent", "x-forwarded-proto", "accept-encoding"}
        answered = {key for key, _ in await call.initial_metadata()}
        assert answered <= {"accept-encoding", "grpc-accept-encoding", "date"}


async def test_an_error_status_of_the_server_ejects_nobody(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        for status in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED):
            a.abort = status
            for _ in range(20):
                call: Any = start(channel.unary_unary(WHO), timeout=5)
                assert await call.code() in (grpc.StatusCode.OK, status)
        assert a.seen["who"] == b.seen["who"] == 30


async def test_a_target_that_cannot_be_reached_fails_no_call_and_is_back_soon(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        assert await who(channel, 10) == {"a": 5, "b": 5}
        await b.server.stop(0)
        assert await who(channel, 100) == {"a": 100}
        assert await envoy.stat("cluster.rng.outlier_detection.ejections_active") == 1
        await b.start(b.port)

        async def is_back() -> bool:
            return (await who(channel, 10))["b"] == 5

        await eventually(is_back, "calls for b", 12)


async def test_when_no_target_can_be_reached_the_call_fails_at_once(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_, envoy), envoy.channel() as channel:
        await a.server.stop(0)
        call: Any = start(channel.unary_unary(WHO), timeout=5)
        assert await call.code() == grpc.StatusCode.UNAVAILABLE


async def test_invariant_9_a_call_that_a_server_has_seen_is_not_sent_again(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        calls: list[Any] = [start(channel.unary_unary(STAY), timeout=10) for _ in range(10)]
        await eventually(lambda: a.seen["stay"] + b.seen["stay"] == 10, "all calls at the servers")
        await a.server.stop(0)  # resets the calls it has
        assert await _settled(calls, 5) == {grpc.StatusCode.UNAVAILABLE}
        assert b.seen["stay"] == 5
        b.release.set()
        codes = Counter([await call.code() for call in calls])
        assert codes == {grpc.StatusCode.UNAVAILABLE: 5, grpc.StatusCode.OK: 5}
        assert a.seen["stay"] + b.seen["stay"] == 10


async def test_invariant_9_nor_is_one_that_a_server_answered_with_an_error(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b), balancer(tmp_path, rng(a.target, b.target)) as (_, envoy):
        a.abort = b.abort = grpc.StatusCode.UNAVAILABLE
        async with envoy.channel() as channel:
            for _ in range(10):
                assert await _failure(channel) == grpc.StatusCode.UNAVAILABLE
        assert a.seen["who"] + b.seen["who"] == 10


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
        managers = [found for found in _messages(dump, "HttpConnectionManager") if found["stat_prefix"] == "calls"]
        (manager,) = managers
        # Envoy's own: 5 minutes for a quiet stream.
        assert manager["stream_idle_timeout"] == "0s"
        assert manager["request_timeout"] == "0s"
        options = manager["common_http_protocol_options"]
        assert options == {"max_connection_duration": "600s", "max_connection_duration_jitter": {"value": 50}}
        assert manager["http2_protocol_options"]["connection_keepalive"] == {"interval": "60s", "timeout": "30s"}
        routes = [route["route"] for route in _objects(dump, "route") if "cluster" in route["route"]]
        assert routes
        for route in routes:
            # Envoy's own: 15 s for a call.
            assert route["timeout"] == "0s"
            assert "idle_timeout" not in route
            assert route["max_stream_duration"] == {"grpc_timeout_header_max": "0s"}
        for cluster in _objects(dump, "cluster"):
            if isinstance(cluster["cluster"], dict) and cluster["cluster"].get("name") == "rng":
                assert cluster["cluster"]["common_lb_config"]["healthy_panic_threshold"] == {}
                assert "max_requests_per_connection" not in str(cluster)


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
        await eventually(lambda: _is(envoy.stat("listener_manager.total_listeners_active"), 0))
        with pytest.raises(httpx.TransportError):
            await envoy.readiness()


def start(method: Any, **options: Any) -> Any:
    return method(b"", **options)


async def _failure(channel: grpc.aio.Channel) -> grpc.StatusCode:
    call: Any = start(channel.unary_unary(WHO), timeout=5)
    code: grpc.StatusCode = await call.code()
    return code


async def _is(reading: Any, expected: object) -> bool:
    return bool(await reading == expected)


async def _settled(calls: list[Any], count: int) -> set[grpc.StatusCode]:
    await eventually(lambda: sum(call.done() for call in calls) == count, f"{count} calls ended")
    return {await call.code() for call in calls if call.done()}


def _to(envoy: Any, authority: str) -> grpc.aio.Channel:
    channel: grpc.aio.Channel = envoy.channel(**{"grpc.default_authority": authority})
    return channel


def _objects(value: Any, key: str) -> list[dict[str, Any]]:
    """Every object, however deep, that has a key."""
    if isinstance(value, list):
        return [found for item in value for found in _objects(item, key)]
    if not isinstance(value, dict):
        return []
    return ([value] if key in value else []) + [found for item in value.values() for found in _objects(item, key)]


def _messages(value: Any, name: str) -> list[dict[str, Any]]:
    return [found for found in _objects(value, "@type") if found["@type"].endswith(f".{name}")]
