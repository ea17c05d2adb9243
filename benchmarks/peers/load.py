"""One turn of load on one proxy: the CPU that it used for a call, how long calls took, how many there were a second."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from peers.echo_server import SERVICE, STREAM_MESSAGES

UNLIMITED = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
AT_ONCE = 16
"""Calls in flight, over all connections."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of load. A turn has so many calls, each of so many `units` of work: messages, where it streams."""

    name: str
    connections: int
    message: bytes
    calls: int
    units: int = 1

    @property
    def unit(self) -> str:
        return "message" if self.units > 1 else "call"


KINDS: tuple[Kind, ...] = (
    Kind("unary, 1 connection", 1, b"hello", 1_000),
    Kind("unary, 8 connections", 8, b"hello", 1_000),
    Kind("unary of 64 KiB, 8 connections", 8, bytes(65_536), 300),
    Kind("streams, 8 connections", 8, b"hello", 30, STREAM_MESSAGES),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """CPU in microseconds for a unit (None: there is no proxy), calls' times in milliseconds, units a second."""

    cpu: float | None
    p50: float
    p99: float
    rate: float


async def turn(address: str, kind: Kind, pid: int | None) -> Turn:
    """A warm connection's load: the channels are opened, and called once, before the clock starts."""
    async with contextlib.AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address, options=UNLIMITED))
            for _ in range(kind.connections)
        ]
        for channel in channels:
            await one_call(channel, kind)
        before, began = None if pid is None else cpu_seconds(pid), time.perf_counter()
        seconds = await calls(channels, kind)
        took = time.perf_counter() - began
        work = len(seconds) * kind.units
        cpu = None if pid is None or before is None else (cpu_seconds(pid) - before) / work * 1e6
    percentiles = statistics.quantiles(seconds, n=100)
    return Turn(cpu, 1e3 * percentiles[49], 1e3 * percentiles[98], work / took)


async def calls(channels: Sequence[grpc.aio.Channel], kind: Kind) -> list[float]:
    """The seconds that each call took."""
    seconds: list[float] = []
    left = iter(range(kind.calls))

    async def one_after_the_other(channel: grpc.aio.Channel) -> None:
        for _ in left:
            started = time.perf_counter()
            await one_call(channel, kind)
            seconds.append(time.perf_counter() - started)

    await asyncio.gather(*(one_after_the_other(channels[number % len(channels)]) for number in range(AT_ONCE)))
    return seconds


async def one_call(channel: grpc.aio.Channel, kind: Kind) -> None:
    """Raises RuntimeError where what comes back is not what was asked for."""
    if kind.units == 1:
        method: Any = channel.unary_unary(f"/{SERVICE}/Unary")
        sizes = [len(await method(kind.message, wait_for_ready=True, timeout=60))]
    else:
        streaming: Any = channel.unary_stream(f"/{SERVICE}/Stream")
        sizes = [len(message) async for message in streaming(kind.message, wait_for_ready=True, timeout=60)]
    if sizes != [len(kind.message)] * kind.units:
        raise RuntimeError(f"{kind.units} messages of {len(kind.message)} bytes must come back, got {sizes[:3]}")


def cpu_seconds(pid: int) -> float:
    """Of a process and all that it started, by their own clocks (CPUCLOCK_SCHED of clock_getcpuclockid(3))."""
    total = 0.0
    for each in (pid, *descendants(pid)):
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~each) << 3 | 2)
    return total


def descendants(pid: int) -> list[int]:
    try:
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [found for child in children for found in (child, *descendants(child))]


def machine() -> str:
    """What the figures are of."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores ({models[0] if models else 'unknown'}), load {os.getloadavg()[0]:.1f}"
