"""The control plane's one thread is shared: how much of it xDS clients take, and how fast each may ask."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

# A client that starts asks for hundreds of names one by one; one in a loop asks for ever.
BURST = 2_000.0
PER_SECOND = 200.0
_NAMES_A_TOKEN = 100
_BYTES_A_TOKEN = 4_096


class RequestRate:
    """A token bucket for one stream: `seconds_to_wait` after what was spent on it."""

    def __init__(
        self,
        *,
        burst: float = BURST,
        per_second: float = PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = self._tokens = burst
        self._per_second = per_second
        self._clock = clock
        self._at = clock()

    def asked(self, names: int) -> None:
        self._spend(1 + names / _NAMES_A_TOKEN)

    def answered(self, size: int) -> None:
        """`size` in bytes."""
        self._spend(size / _BYTES_A_TOKEN)

    @property
    def seconds_to_wait(self) -> float:
        """Until the next request of this stream is read; 0 where it may be now."""
        self._spend(0)
        return max(0.0, -self._tokens / self._per_second)

    def _spend(self, tokens: float) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second) - tokens
        self._at = now


# Of one round of the event loop: then everything else that waits for the thread has its turn.
WORK_SECONDS = 0.001
MAX_TURNS = 16


class Turns:
    """Whoever works in turns does so one after the other, in the order of asking, and never long without a pause.

    `async with turns:` may not await anything inside. A round takes at least one turn, and further ones while they have
    taken less than a millisecond together: a change is a few microseconds' work for each of a thousand streams.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._round_comes = False
        self._is_first = False
        self._until = 0.0

    async def __aenter__(self) -> None:
        if not self._waiting and self._may_work():
            return
        number = next(self._numbers)
        while True:
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (number, turn))
            self._call_round()
            await turn
            if self._may_work():
                return

    async def __aexit__(self, *_error: object) -> None:
        return

    def _may_work(self) -> bool:
        now = self._clock()
        if self._is_first:
            self._is_first, self._until = False, now + WORK_SECONDS
        return now < self._until

    def _call_round(self) -> None:
        if not self._round_comes:
            self._round_comes = True
            asyncio.get_running_loop().call_soon(self._round)

    def _round(self) -> None:
        self._round_comes = False
        woken = 0
        while self._waiting and woken < MAX_TURNS:
            _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                woken += 1
        self._is_first = woken > 0
        if self._waiting:
            self._call_round()
