"""Frames that gRPC's libraries seldom send reach the other end as they were sent, or the documentation says how not."""

from __future__ import annotations

import asyncio
from pathlib import Path

from grpc_lb_contract import Retry
from proxy_image.control_plane.metrics.target_metrics import families
from proxy_image.control_plane.stats.watcher import EnvoyStatistics
from tests.proxy_image.control_plane.support import rng, target
from tests.transparency import exchanges as exchanges_of
from tests.transparency.balanced import balanced
from tests.transparency.differences import documented_of_frames
from tests.transparency.exchanges import EXCHANGES
from tests.transparency.neighbours import bystander
from tests.transparency.peers import frames, grpc_aio
from tests.transparency.peers.frames import OK, Exchange, Seen, Server, seen
from tests.transparency.peers.raw_h2 import Stream
from tests.transparency.test_shared import service_of_host
from tests.waiting import PATIENCE_SECONDS

REFUSED_STREAM, ENHANCE_YOUR_CALM = 7, 11
# What a peer that says nothing else takes at first: https://www.rfc-editor.org/rfc/rfc9113.html#section-6.9.2
WINDOW, LARGEST_FRAME = 65_535, 16_384
FILLING = [("data", bytes(min(LARGEST_FRAME, WINDOW - at))) for at in range(0, WINDOW, LARGEST_FRAME)]
ENDED = ("end", OK), ("ping",)
IN_FULL_WINDOW = {
    "an answer that fills its caller's window": Exchange(
        server=(exchanges_of.HALF_CLOSED, exchanges_of.BEGIN, *FILLING, *ENDED),
        caller=(exchanges_of.END, ("filled", WINDOW)),
    ),
    "an answer without a message while the window is full": Exchange(
        server=(exchanges_of.HALF_CLOSED, exchanges_of.BEGIN, *ENDED), caller=(exchanges_of.END, ("got", 1))
    ),
}
# Envoy adds them: docs/transparency.md has them in its first table.
ADDED = {"date", "x-forwarded-proto"}


async def test_frames_arrive_as_they_were_sent_or_as_the_documentation_says(tmp_path: Path) -> None:
    named = {f"{number}": exchange for number, (_, exchange) in enumerate(EXCHANGES)}
    async with (
        frames.server({**named, **IN_FULL_WINDOW}) as server,
        grpc_aio.server() as honest,
        balanced(tmp_path, server.port, service_of_host("honest.test", honest)) as ways,
        # All calls of a way share a connection, and all share those to the server: what ends one would end the others.
        frames.caller(ways.direct) as directly,
        frames.caller(ways.balanced) as through,
        grpc_aio.channel(ways.balanced, **{"grpc.default_authority": "honest.test"}) as neighbour,
        bystander(neighbour),
        asyncio.timeout(PATIENCE_SECONDS),
    ):

        async def differ(name: str, exchange: Exchange) -> set[str]:
            streams = await asyncio.gather(
                frames.call(f"{name}|direct", exchange, directly), frames.call(f"{name}|through", exchange, through)
            )
            found = _of_caller(*map(seen, streams))
            return found | await _of_server(server, name, exchange)

        differences = await asyncio.gather(*(differ(name, exchange) for name, exchange in named.items()))
        assert not directly.is_over
        assert not through.is_over
        in_full_window = [await _in_full_window(server, port) for port in (ways.direct, ways.balanced)]
    found = {(group, what) for (group, _), some in zip(EXCHANGES, differences, strict=True) for what in some}
    for name, *streams in zip(IN_FULL_WINDOW, *in_full_window, strict=True):
        found |= {(name, what) for what in _of_caller(*map(seen, streams))}
    assert found == documented_of_frames()


async def _in_full_window(server: Server, port: int) -> list[Stream]:
    """Calls on a connection of their own, whose window opens once all of their answers have been taken before it."""
    async with frames.caller(port) as on:
        on.acknowledges = False
        streams = []
        for name, exchange in IN_FULL_WINDOW.items():
            streams.append(await frames.played(f"{name}|{port}", exchange, on))
            await server.answered()
        on.h2.acknowledge_received_data(WINDOW, streams[0].number)
        on.flush()
        return [await frames.over(on, stream) for stream in streams]


def _of_caller(direct: Seen, through: Seen) -> set[str]:
    ends = _end(direct), _end(through)
    if ends[0] != ends[1]:
        # Which code a server chose is not the point: no other comes out of it.
        was = "reset" if ends[0].startswith("reset") else ends[0]
        return {f"caller: {was} as {ends[1]}"}
    return {f"caller: {what}" for what in _differing(direct, through)}


def _end(of: Seen) -> str:
    for block in of.headers:
        if "grpc-status" in dict(block):
            return f"status {dict(block)['grpc-status']}"
    if of.reset is not None:
        return f"reset {of.reset}"
    return f"HTTP {dict(of.headers[0])[':status']}" if of.headers else "nothing"


async def _of_server(server: Server, name: str, exchange: Exchange) -> set[str]:
    direct, through = (server.calls.get(f"{name}|{way}") for way in ("direct", "through"))
    if direct is None or through is None:
        return {"server: not called"} if direct is not through else set()
    if ("half-closed",) in exchange.server:
        for stream in (direct, through):
            while not stream.is_over:
                stream.changed.clear()
                await stream.changed.wait()
    found = {f"server: {what}" for what in _differing(seen(direct), seen(through))}
    if exchange.caller[-1][0] == "reset" and direct.reset != through.reset:
        found.add(f"server: reset as reset {through.reset}")
    return found


def _differing(direct: Seen, through: Seen) -> set[str]:
    found = set() if direct.data == through.data else {"data"}
    if len(direct.headers) != len(through.headers):
        return found | {"blocks of headers"}
    for was, now in zip(map(_by_key, direct.headers), map(_by_key, through.headers), strict=True):
        found |= {f"-{key}" for key in was if was[key] != now.get(key)}
        found |= {f"+{key}" for key in now if was.get(key) != now[key]}
    return found


def _by_key(block: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    """The order of a key's values counts; that of different keys does not."""
    values: dict[str, list[str]] = {}
    for key, value in block:
        if key not in ADDED:
            values.setdefault(key, []).append(value)
    return values


async def test_tries_that_a_target_resets_are_counted(tmp_path: Path) -> None:
    exchanges = {str(code): exchanges_of.answer(("reset", code)) for code in (REFUSED_STREAM, ENHANCE_YOUR_CALM)}
    async with (
        frames.server(exchanges) as server,
        balanced(tmp_path, server.port) as ways,
        frames.caller(ways.balanced) as through,
    ):
        for name, exchange in exchanges.items():
            assert _end(seen(await frames.call(name, exchange, through))) == "status 14"
        # The first is retried, as no server has seen it.
        assert len(server.every) == 1 + Retry().max_retries + 1
        reading = await asyncio.to_thread(EnvoyStatistics(ways.envoy.settings.admin_socket).reading)
        assert reading.services["rng"].resets == len(server.every)
        found = {family.name: family for family in families(rng(target(server.port)).services, reading)}
        assert found["grpc_lb_service_resets"].samples[0].value == len(server.every)
