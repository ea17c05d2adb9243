"""The control plane's one thread is shared: how much of it xDS clients take, and how fast each may ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

# A client that starts asks for hundreds of names one by one; one in a loop asks for ever.
BURST = 2_000.0
PER_SECOND = 200.0
_NAMES_A_TOKEN = 100
_BYTES_A_TOKEN = 4_096


class Pace:
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


class Turns:
    """One stream at a time works; between two turns everything else that waits for the thread has its own."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        async with self._lock:
            # A lock alone hands on within one round of the event loop.
            await asyncio.sleep(0)
            yield
