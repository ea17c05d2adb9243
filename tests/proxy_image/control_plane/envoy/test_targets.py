"""Which target gets a call, through a real Envoy that only our ADS server configures."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from tests.proxy_image.control_plane.calls import (
    failure_of,
    reads,
    settled,
    start,
    until_states,
)
from tests.proxy_image.control_plane.support import (
    STAY,
    STREAM,
    WHO,
    backends,
    balancer,
    eventually,
    rng,
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
        await eventually(lambda: reads(envoy.endpoints(), {a.port: "DRAINING", b.port: "HEALTHY"}))
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
        assert await failure_of(channel) == grpc.StatusCode.UNAVAILABLE
        assert a.seen["who"] == 0


async def test_an_error_status_of_the_server_ejects_nobody(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        for status in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED):
            a.abort = status
            for _ in range(20):
                call: Any = start(channel.unary_unary(WHO), timeout=60)
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
        # It may be back for a moment: an ejection lasts a second.
        assert await envoy.stat("cluster.rng.outlier_detection.ejections_enforced_total") >= 1
        await b.start(b.port)

        async def is_back() -> bool:
            return (await who(channel, 10))["b"] == 5

        await eventually(is_back, "calls for b")


@contextmanager
def port_that_answers_no_connection() -> Iterator[int]:
    """As a host that is lost: its queue of connections is full, and the kernel says nothing to further ones."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        yield full.getsockname()[1]


async def test_a_request_of_almost_a_mebibyte_goes_to_another_target_where_its_own_cannot_be_reached(
    tmp_path: Path,
) -> None:
    # GIVEN a target that is lost: what a call sends arrives before Envoy knows
    with port_that_answers_no_connection() as lost:
        async with (
            backends("a") as (a,),
            balancer(tmp_path, rng(a.target, target(lost))) as (_, envoy),
            envoy.channel() as channel,
        ):
            await envoy.has(a.port, lost)
            # WHEN both get large requests
            method: Any = channel.unary_unary(WHO)
            answers = await asyncio.gather(*(method(bytes(1_000_000), timeout=60) for _ in range(2)))
            # THEN all are answered
            assert answers == [b"a", b"a"]
            assert await envoy.stat("cluster.rng.upstream_rq_retry") >= 1


async def test_a_request_that_is_too_large_to_be_sent_again_is_unavailable_as_directly(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_, envoy), envoy.channel() as channel:
        await a.server.stop(0)
        method: Any = channel.unary_unary(WHO)
        call = method(bytes(3_000_000), timeout=60)
        assert await call.code() == grpc.StatusCode.UNAVAILABLE


async def test_when_no_target_can_be_reached_the_call_fails_at_once(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_, envoy), envoy.channel() as channel:
        await a.server.stop(0)
        call: Any = start(channel.unary_unary(WHO), timeout=60)
        assert await call.code() == grpc.StatusCode.UNAVAILABLE


async def test_invariant_9_a_call_that_a_server_has_seen_is_not_sent_again(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        calls: list[Any] = [start(channel.unary_unary(STAY), timeout=60) for _ in range(10)]
        await eventually(lambda: a.seen["stay"] + b.seen["stay"] == 10, "all calls at the servers")
        await a.server.stop(0)  # resets the calls it has
        assert await settled(calls, 5) == {grpc.StatusCode.UNAVAILABLE}
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
                assert await failure_of(channel) == grpc.StatusCode.UNAVAILABLE
        assert a.seen["who"] + b.seen["who"] == 10


async def test_two_changes_of_state_in_a_row_are_both_used_at_once(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target, b.target)) as (plane, envoy),
        envoy.channel() as channel,
    ):
        for _ in range(5):
            for draining, serving in ((a, b), (b, a)):
                await plane.serve(rng(target(draining.port, draining=True), serving.target))
                await until_states(envoy, {draining.port: "DRAINING", serving.port: "HEALTHY"})
                assert await who(channel, 10) == {serving.name: 10}
