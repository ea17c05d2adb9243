"""Make a load of calls and record each: `run_load` for one that ends by itself, `SteadyLoad` for one around other work.

The channels have gRPC's default behaviour: nothing of ours retries or hides a failure.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rng_service.calls import UnreachableError, connect, generate, open_channel, stream
from rng_service.report import Call, LoadReport
from rng_service.rng.v1 import random_number_pb2_grpc as pb2_grpc

__all__ = ["Call", "Load", "LoadReport", "Plan", "SteadyLoad", "UnreachableError", "run_load"]

DEFAULT_STREAM_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What load to make. Times are in seconds, the rate in calls a second."""

    calls: int | None = 100
    """How many Generate calls; None: until the duration is over or the load is told to stop."""
    streams: int = 0
    """When not 0: make so many Stream calls, all open at once, in place of Generate calls."""
    channels: int = 1
    """How many connections; calls take turns on them."""
    rate: float | None = None
    """Calls are made at this rate whether or not those before are answered; None: each channel makes its next call when
    its last one is over."""
    duration: float | None = None
    """After this time no new call is made; a stream lasts about so long (default 1 s)."""
    timeout: float = 10.0
    """Deadline of each call; of a stream, on top of its duration."""
    authority: str | None = None
    """The :authority of the calls; default: the address."""
    connect_timeout: float = 5.0


class Load:
    """One load: enter it to connect, `run` it, look at its `report` at any time.

    Entering raises UnreachableError when there is no connection within the plan's connect_timeout.
    """

    def __init__(self, address: str, plan: Plan) -> None:
        self._address = address
        self._plan = plan
        self._connections = AsyncExitStack()
        self._stubs: list[pb2_grpc.RandomNumberStub] = []
        self._calls: list[Call] = []
        self._running: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self._started = time.time()
        self._finished: float | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as connections:
            for _ in range(self._plan.channels):
                channel = open_channel(self._address, self._plan.authority)
                await connections.enter_async_context(channel)
                await connect(channel, self._address, self._plan.connect_timeout)
                self._stubs.append(pb2_grpc.RandomNumberStub(channel))
            self._connections = connections.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._connections.aclose()

    async def run(self) -> LoadReport:
        """Make the calls of the plan; return when the last one is over."""
        self._started = time.time()
        ending = None
        if self._plan.duration is not None and self._plan.streams == 0:
            ending = asyncio.get_running_loop().call_later(self._plan.duration, self.stop)
        try:
            if self._plan.rate is not None:
                await self._at_rate(self._plan.rate)
            elif self._plan.streams > 0:
                for number in range(self._plan.streams):
                    self._begin(self._stream(number))
            else:
                for first in range(self._plan.channels):
                    self._begin(self._in_turn(first))
            while self._running:
                await asyncio.wait(self._running)
        finally:
            if ending is not None:
                ending.cancel()
        self._finished = time.time()
        return self.report()

    def stop(self) -> None:
        """Make no new call; those that run go on."""
        self._stopped.set()

    def report(self) -> LoadReport:
        """The calls that are over by now."""
        finished = self._finished if self._finished is not None else time.time()
        return LoadReport(self._address, self._plan.channels, self._started, finished, tuple(self._calls))

    async def _at_rate(self, rate: float) -> None:
        begin = time.perf_counter()
        total = self._plan.streams if self._plan.streams > 0 else self._plan.calls
        for number in itertools.count() if total is None else range(total):
            await self._stopped_within(begin + number / rate - time.perf_counter())
            if self._stopped.is_set():
                return
            self._begin(self._stream(number) if self._plan.streams > 0 else self._generate(number))

    async def _stopped_within(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    async def _in_turn(self, first: int) -> None:
        """Make the calls of one channel, each when the one before is over."""
        number = first
        while not self._stopped.is_set() and (self._plan.calls is None or number < self._plan.calls):
            await self._generate(number)
            number += self._plan.channels

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _generate(self, number: int) -> None:
        self._calls.append(await generate(self._stub(number), self._plan.timeout))

    async def _stream(self, number: int) -> None:
        seconds = self._plan.duration if self._plan.duration is not None else DEFAULT_STREAM_SECONDS
        self._calls.append(await stream(self._stub(number), seconds, self._plan.timeout))

    def _stub(self, number: int) -> pb2_grpc.RandomNumberStub:
        return self._stubs[number % len(self._stubs)]


async def run_load(address: str, plan: Plan | None = None) -> LoadReport:
    """Connect, make the calls of the plan (default: 100 calls, one after another, on one connection) and report.

    Raises UnreachableError when there is no connection to begin with; failed calls are in the report.
    """
    async with Load(address, plan if plan is not None else Plan()) as load:
        return await load.run()


class SteadyLoad:
    """Calls at a steady rate around other work:

        async with SteadyLoad(address, rate=250, channels=4) as load:
            ...
        report = load.report()

    Entering raises UnreachableError. Leaving makes no new call and waits for those that run, each bounded by `timeout`.
    """

    def __init__(
        self,
        address: str,
        *,
        rate: float = 250.0,
        channels: int = 4,
        timeout: float = 10.0,
        authority: str | None = None,
    ) -> None:
        plan = Plan(calls=None, rate=rate, channels=channels, timeout=timeout, authority=authority)
        self._load = Load(address, plan)
        self._run: asyncio.Task[LoadReport] | None = None

    async def __aenter__(self) -> Self:
        await self._load.__aenter__()
        self._run = asyncio.create_task(self._load.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        finally:
            await self._load.__aexit__(kind, error, trace)

    async def stop(self) -> LoadReport:
        """Make no new call, wait for those that run, and report."""
        self._load.stop()
        if self._run is not None:
            await self._run
        return self.report()

    def report(self) -> LoadReport:
        """The calls that are over by now."""
        return self._load.report()
