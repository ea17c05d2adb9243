"""PINGs, GOAWAYs of either side, and servers that restart: what the calls on a connection see, and those beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from tests.proxy_image.control_plane.support import Backend, eventually, target, who
from tests.transparency.balanced import balanced
from tests.transparency.neighbours import bystander, same
from tests.transparency.peers import grpc_aio, raw_h2
from tests.transparency.peers.grpc_js import node
from tests.transparency.peers.script import Call, Outcome

READ: Any = [["half-close"], ["read-all"]]
ONE = Outcome(0, "", received=("1 bytes",))
# gRPC servers end a connection after two PINGs that come too soon: grpc.http2.max_ping_strikes.
PINGS = 30
ENHANCE_YOUR_CALM = 11
# Of a server that is told to go away: it answers these, and has never seen the rest.
ANSWERED = 5


async def test_a_server_that_goes_away_is_asked_again_for_calls_that_it_has_not_seen(tmp_path: Path) -> None:
    call = Call(READ, [["read-all"], ["sleep", 1], ["send", 1, 1]])
    async with (
        raw_h2.server() as server,
        balanced(tmp_path, server.port) as ways,
        grpc_aio.channel(ways.balanced) as channel,
        # Its stream, the first one, is among those that go on.
        bystander(channel),
    ):
        calls = [asyncio.create_task(grpc_aio.outcome(call, channel)) for _ in range(2 * ANSWERED)]
        first = server.connections[0]
        asked = ("script", json.dumps(call.server))
        await eventually(lambda: len([one for one in first.streams.values() if asked in one.headers[0]]) == len(calls))
        # WHEN the last streams are beyond the GOAWAY's, and the server does nothing about them
        numbers = sorted(first.streams)
        for number in numbers[-ANSWERED:]:
            first.streams[number].reset = 0
        first.go_away(numbers[-ANSWERED - 1])
        # THEN each call is answered
        assert [same(outcome) for outcome in await asyncio.gather(*calls)] == [ONE] * 2 * ANSWERED
        assert len(server.connections) > 1


async def test_a_caller_that_goes_away_has_the_answers_of_its_calls(tmp_path: Path) -> None:
    call = Call(READ, [["read-all"], ["sleep", 0.3], ["send", 1, 1]])
    async with grpc_aio.server() as server, balanced(tmp_path, server) as ways:
        for port in (ways.direct, ways.balanced):
            async with raw_h2.connected(port) as caller:
                outcomes = [asyncio.create_task(raw_h2.outcome(call, caller)) for _ in range(3)]
                # Both ends have the calls.
                await caller.ping()
                caller.go_away(0)
                assert [same(outcome) for outcome in await asyncio.gather(*outcomes)] == [ONE] * 3


async def test_a_caller_may_ping_with_and_without_calls_and_its_servers_never_see_it(tmp_path: Path) -> None:
    quiet = Call([["half-close"], ["read-all"]], [["send", 1, 1], ["sleep", 1], ["send", 1, 1]])
    async with (
        grpc_aio.server() as port,
        balanced(tmp_path, port) as ways,
        grpc_aio.channel(ways.balanced) as neighbour,
        bystander(neighbour),
        raw_h2.connected(ways.direct) as directly,
        raw_h2.connected(ways.balanced) as caller,
    ):

        async def ping(on: raw_h2.Connection) -> None:
            for _ in range(PINGS):
                if not on.is_over and on.goaway is None:
                    await on.ping()

        # GIVEN a server that ends the connection of a caller that PINGs too often
        await ping(directly)
        await eventually(lambda: directly.goaway == ENHANCE_YOUR_CALM)
        # WHEN one does so through the balancer, without a call, and beside one that is quiet
        await ping(caller)
        running = asyncio.create_task(raw_h2.outcome(quiet, caller))
        await ping(caller)
        # THEN all goes on
        assert same(await running) == Outcome(0, "", received=("1 bytes", "1 bytes"))
        assert caller.goaway is None


async def test_keepalive_of_grpcs_own_clients_ends_no_quiet_stream(tmp_path: Path) -> None:
    quiet = Call(READ, [["send", 1, 1], ["sleep", 1.5], ["send", 1, 1]])
    often: Any = {
        "grpc.keepalive_time_ms": 100,
        "grpc.keepalive_timeout_ms": 60_000,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.max_pings_without_data": 0,
    }
    async with (
        grpc_aio.server() as port,
        node() as running,
        balanced(tmp_path, port) as ways,
        grpc_aio.channel(ways.balanced, **often) as channel,
    ):
        outcomes = await asyncio.gather(
            grpc_aio.outcome(quiet, channel), running.outcome(quiet, ways.balanced, **often)
        )
        assert [same(one) for one in outcomes] == [Outcome(0, "", received=("1 bytes", "1 bytes"))] * 2


@asynccontextmanager
async def a_server(tmp_path: Path) -> AsyncIterator[tuple[Backend, grpc.aio.Channel, grpc.aio.Channel]]:
    """A server that a test may stop, with a channel to it and one through the balancer."""
    server = Backend("server")
    await server.start()
    async with (
        balanced(tmp_path, server.port) as ways,
        grpc_aio.channel(ways.direct, **{"grpc.max_reconnect_backoff_ms": 100}) as directly,
        grpc_aio.channel(ways.balanced) as through,
    ):
        yield server, directly, through


async def test_a_server_that_restarts_is_called_again_and_callers_see_unavailable_meanwhile(tmp_path: Path) -> None:
    async with a_server(tmp_path) as (server, directly, through):
        assert await who(through) == await who(directly) == {"server": 1}
        await server.stop()
        for channel in (directly, through):
            assert await status(channel) == grpc.StatusCode.UNAVAILABLE
        again = Backend("again")
        await again.start(target(server.port).port)
        for channel in (directly, through):
            await eventually(partial(is_ok, channel))
        assert await who(through, 5) == {"again": 5}
        await again.stop()


async def test_a_call_that_would_wait_for_its_server_waits_directly_and_fails_through_the_balancer(
    tmp_path: Path,
) -> None:
    async with a_server(tmp_path) as (server, directly, through):
        await server.stop()
        waiting = asyncio.create_task(who(directly, wait_for_ready=True))
        assert await status(through, wait_for_ready=True) == grpc.StatusCode.UNAVAILABLE
        assert not waiting.done()
        await server.start(server.port)
        assert await waiting == {"server": 1}
        await server.stop()


async def status(channel: grpc.aio.Channel, **options: Any) -> grpc.StatusCode:
    try:
        await who(channel, **options)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def is_ok(channel: grpc.aio.Channel) -> bool:
    return await status(channel) == grpc.StatusCode.OK
