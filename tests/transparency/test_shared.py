"""What callers and servers share - connections, windows, memory - is not one's to take from the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grpc_lb_contract import Route
from tests.proxy_image.control_plane.support import eventually, service, target
from tests.transparency.balanced import balanced, resident_mib
from tests.transparency.neighbours import bystander, times_direct
from tests.transparency.peers import grpc_aio
from tests.transparency.peers.script import METHOD, Call

CANCELLED, DEADLINE_EXCEEDED = 1, 4
CALLS = 800
ENDLESS: Any = [["send", 2**16, 10_000]]
# grpcio widens the windows of quick connections to megabytes a stream.
NARROW: Any = {"grpc.http2.bdp_probe": 0, "grpc.http2.lookahead_bytes": 2**16}


async def test_streams_whose_callers_pause_hold_up_nobody_else_and_little_memory(tmp_path: Path) -> None:
    async with (
        grpc_aio.server() as port,
        balanced(tmp_path, port) as ways,
        grpc_aio.channel(ways.balanced) as honest,
        grpc_aio.channel(ways.direct) as direct,
    ):
        before = await times_direct(honest, direct)
        # WHEN 200 streams on 4 connections are not read
        pausing = [grpc_aio.channel(ways.balanced, **NARROW) for _ in range(4)]
        paused: list[Any] = [
            pausing[number % 4].stream_stream(METHOD)(metadata=Call([], ENDLESS).sent) for number in range(200)
        ]
        for stream in paused:
            assert await stream.read() == b"m" * 2**16
        async with bystander(honest):
            await settled_bytes(ways.envoy)
            # THEN others' calls take as long as before
            assert await times_direct(honest, direct) <= 2 * before
        # AND a stream holds less than 1 MiB
        assert resident_mib(ways.envoy) < 400
        # AND each goes on where it was
        for stream in paused[:4]:
            for _ in range(40):
                assert await stream.read() == b"m" * 2**16
        for stream in paused:
            stream.cancel()
        for each in pausing:
            await each.close()


async def test_uploads_that_a_server_does_not_read_hold_up_nobody_else_and_little_memory(tmp_path: Path) -> None:
    stuck = Call([["send", 2**16, 10_000]], [["stay"]])
    async with (
        grpc_aio.server(**NARROW) as slow,
        grpc_aio.server() as port,
        balanced(tmp_path, port, service_of_host("slow.test", slow)) as ways,
        grpc_aio.channel(ways.balanced) as honest,
        grpc_aio.channel(ways.direct) as direct,
        grpc_aio.channel(ways.balanced, **{"grpc.default_authority": "slow.test"}) as uploading,
    ):
        before = await times_direct(honest, direct)
        uploads = [asyncio.create_task(grpc_aio.outcome(stuck, uploading)) for _ in range(200)]
        async with bystander(honest):
            await settled_bytes(ways.envoy)
            assert await times_direct(honest, direct) <= 2 * before
        assert resident_mib(ways.envoy) < 400
        for upload in uploads:
            upload.cancel()
        await asyncio.gather(*uploads, return_exceptions=True)


def service_of_host(host: str, port: int) -> Any:
    return service("slow", target(port), routes=(Route(host=host),))


async def settled_bytes(envoy: Any) -> None:
    """Until Envoy takes no more from anyone: its buffers are as full as they get."""
    last = -1

    async def unchanged() -> bool:
        nonlocal last
        now = await envoy.stat("http.calls.downstream_cx_rx_bytes_total") + await envoy.stat(
            "cluster.rng.upstream_cx_rx_bytes_total"
        )
        before, last = last, now
        await asyncio.sleep(0.2)
        return bool(abs(now - before) < 20_000)

    await eventually(unchanged, "buffers that are full", seconds=60)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (Call([["half-close"], ["read-all"]], [["stay"]], deadline=0.02), {DEADLINE_EXCEEDED, CANCELLED}),
        (Call([["half-close"], ["sleep", 0.01], ["cancel"]], [["stay"]]), {CANCELLED}),
        (Call([["half-close"], ["read", 1], ["cancel"]], [["send", 10, 1], ["stay"]]), {CANCELLED}),
    ],
    ids=["deadlines", "cancels", "cancels of streams"],
)
@pytest.mark.parametrize("rounds", [5, pytest.param(20, marks=pytest.mark.long)])
async def test_calls_that_end_early_end_alone(tmp_path: Path, call: Call, expected: set[int], rounds: int) -> None:
    async with (
        grpc_aio.server() as port,
        balanced(tmp_path, port) as ways,
        grpc_aio.channel(ways.balanced) as channel,
        bystander(channel),
    ):
        seen: Counter[int] = Counter()
        for _ in range(rounds):
            seen.update(
                [one.status for one in await asyncio.gather(*(grpc_aio.outcome(call, channel) for _ in range(100)))]
            )
        # Where a deadline ends the call at grpcio's server first, that answers CANCELLED, directly too.
        assert set(seen) <= expected


@pytest.mark.parametrize("limit", [100, 200])
async def test_a_server_that_bounds_the_streams_of_a_connection_gets_them_on_more_of_them(
    tmp_path: Path, limit: int
) -> None:
    waiting = Call([["half-close"], ["read-all"]], [["sleep", 0.2], ["send", 1, 1]])
    options = {"grpc.max_concurrent_streams": limit}
    async with (
        grpc_aio.server(**options) as port,
        balanced(tmp_path, port) as ways,
        grpc_aio.channel(ways.balanced) as channel,
    ):
        outcomes = await asyncio.gather(*(grpc_aio.outcome(waiting, channel) for _ in range(CALLS)))
        assert Counter(outcome.status for outcome in outcomes) == {0: CALLS}


LARGE = [(f"k{number}", 50_000) for number in range(10)]
MANY = [(f"k{number}", 1) for number in range(1_000)]
READ: Any = [["half-close"], ["read-all"]]


@pytest.mark.parametrize(
    ("call", "in_initial", "in_trailing"),
    [
        (Call(READ, [["read-all"]], LARGE), 0, 0),
        (Call(READ, [["read-all"]], [("one", 70_000)]), 0, 0),
        (Call(READ, [["read-all"]], MANY), 0, 0),
        (Call(READ, [["initial", LARGE], ["send", 1, 1]]), 10, 0),
        (Call(READ, [["initial", MANY], ["send", 1, 1]]), 1_000, 0),
        (Call(READ, [["send", 1, 1], ["end", 0, "", LARGE]]), 0, 10),
        (Call(READ, [["send", 1, 1], ["end", 0, "", MANY]]), 0, 1_000),
        (Call(READ, [["end", 5, "gone", LARGE]]), 0, 10),
    ],
    ids=["sent", "sent in one", "many sent", "initial", "many initial", "trailing", "many trailing", "trailers only"],
)
async def test_half_a_mebibyte_or_a_thousand_entries_of_metadata_are_one_calls_affair(
    tmp_path: Path, call: Call, in_initial: int, in_trailing: int
) -> None:
    async with (
        grpc_aio.server() as port,
        balanced(tmp_path, port) as ways,
        grpc_aio.channel(ways.direct) as directly,
        grpc_aio.channel(ways.balanced) as channel,
        bystander(channel),
    ):
        outcome = await grpc_aio.outcome(call, channel)
        without = replace(outcome, initial=(), trailing=())
        assert without == replace(await grpc_aio.outcome(call, directly), initial=(), trailing=())
        # Envoy adds date.
        assert len([key for key, _ in outcome.initial if key.startswith("k")]) == in_initial
        assert len([key for key, _ in outcome.trailing if key.startswith("k")]) == in_trailing


async def test_a_deadline_that_passes_in_a_stream_has_its_status(tmp_path: Path) -> None:
    late = Call(READ, [["send", 1, 1], ["stay"]], deadline=0.1)
    async with (
        grpc_aio.server() as port,
        balanced(tmp_path, port) as ways,
        grpc_aio.channel(ways.balanced) as channel,
    ):
        outcomes = [await asyncio.gather(*(grpc_aio.outcome(late, channel) for _ in range(20))) for _ in range(5)]
        statuses = Counter(outcome.status for some in outcomes for outcome in some)
        assert statuses == {DEADLINE_EXCEEDED: 100}
