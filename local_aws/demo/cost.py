"""What a call costs on each way to the tasks: how long it takes its client, and the CPU of the balancers' Envoys."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local_aws.demo.stage import SceneError, Stage, command_line, process_ids

CALLS = 300


@dataclass(frozen=True, slots=True)
class Way:
    name: str
    address: str
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of a call: the median of what it took, and of the balancers' CPU on average."""

    way: str
    p50_ms: float
    cpu_ms: float


async def costs(stage: Stage, ways: Sequence[Way]) -> list[Cost]:
    """Of CALLS calls on each way, one after the other."""
    pids = [pid for balancer in await stage.balancers() for pid in process_ids(balancer)]
    envoys = [pid for pid in pids if b"envoy.json" in command_line(pid)]
    return [await _cost(way, envoys) for way in ways]


async def _cost(way: Way, envoys: Sequence[int]) -> Cost:
    before = sum(map(cpu_seconds, envoys))
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rng_service.client", way.address, "--calls", str(CALLS), "--json"),
        env={**os.environ, **way.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await client.communicate()
    if not output:
        raise SceneError(f"a client must print its report, got {errors.decode().strip()!r}")
    cpu = sum(map(cpu_seconds, envoys)) - before
    return Cost(way.name, json.loads(output)["latency_ms"]["p50"], 1000 * cpu / CALLS)


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, to the nanosecond; 0 once it is gone.

    Not of /proc, which counts in hundredths of a second: as long as a hundred calls take an Envoy.
    """
    clock = ctypes.c_int()
    # clock_getcpuclockid(3); Python has it for threads alone.
    if ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        return 0.0
    try:
        return time.clock_gettime(clock.value)
    except OSError:  # it has ended since
        return 0.0


def lines(found: Sequence[Cost]) -> list[str]:
    width = max(len(each.way) for each in found)
    columns = "{:<{width}}  {:7.2f} ms (p50)  {:5.2f} ms of the balancers' CPU"
    return [columns.format(each.way, each.p50_ms, each.cpu_ms, width=width) for each in found]
