"""Bystanders: what others' calls and streams notice while one caller or server misbehaves."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from tests.transparency.peers import grpc_aio
from tests.transparency.peers.script import METHOD, Call, Outcome

BATCHES = 5
CALLS = 40
TICK_SECONDS = 0.05
UNARY = Call([["send", 100, 1], ["half-close"], ["read-all"]], [["read-all"], ["send", 100, 1]])
ANSWER = Outcome(0, "", received=("100 bytes",))


def same(outcome: Outcome) -> Outcome:
    """Without metadata, of which Envoy adds some."""
    return Outcome(outcome.status, outcome.message, received=outcome.received)


async def times_direct(balanced: grpc.aio.Channel, direct: grpc.aio.Channel) -> float:
    """The median latency of a call through the balancer over that of a direct call: the lowest ratio of a few batches.

    The two take turns, so that other work on the machine slows both.
    """
    ratios = []
    for _ in range(BATCHES):
        through: list[float] = []
        straight: list[float] = []
        for _ in range(CALLS):
            through.append(await _seconds(balanced))
            straight.append(await _seconds(direct))
        ratios.append(statistics.median(through) / statistics.median(straight))
    return min(ratios)


async def _seconds(on: grpc.aio.Channel) -> float:
    began = time.perf_counter()
    assert same(await grpc_aio.outcome(UNARY, on)) == ANSWER
    return time.perf_counter() - began


@asynccontextmanager
async def bystander(on: grpc.aio.Channel) -> AsyncIterator[None]:
    """A stream and calls that run beside what the body does, on this channel; at the end all have gone well."""
    over = asyncio.Event()
    # The stream ends as the bystander half-closes.
    stream: Any = on.stream_stream(METHOD)
    running = stream(metadata=Call([], [["send", 10, 3], ["read-all"], ["end", 0, "", []]]).sent)
    for _ in range(3):
        assert await running.read() == b"m" * 10

    async def calls() -> int:
        made = 0
        while not over.is_set():
            seen = same(await grpc_aio.outcome(UNARY, on))
            assert seen == ANSWER, f"after {made} calls that went well: {seen}"
            made += 1
            await asyncio.sleep(TICK_SECONDS)
        return made

    beside = asyncio.create_task(calls())
    try:
        yield
        # At least one after it is all over.
        await asyncio.sleep(2 * TICK_SECONDS)
    except BaseException:
        running.cancel()
        raise
    finally:
        over.set()
        made = await beside
    assert made > 0
    assert not running.done()
    await running.done_writing()
    assert await running.read() is grpc.aio.EOF
    assert await running.code() == grpc.StatusCode.OK
