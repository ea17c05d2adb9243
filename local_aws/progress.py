"""A line for every step that takes more than two seconds, and how long each took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

QUIET_SECONDS = 2.0
EVERY_SECONDS = 5.0

Say = Callable[[str], None]


def say(line: str) -> None:
    print(line, flush=True)


@asynccontextmanager
async def step(what: str, tell: Say = say) -> AsyncIterator[None]:
    started = time.monotonic()

    async def keep_telling() -> None:
        await asyncio.sleep(QUIET_SECONDS)
        while True:
            tell(f"{what} ... {time.monotonic() - started:.0f} s")
            await asyncio.sleep(EVERY_SECONDS)

    telling = asyncio.create_task(keep_telling())
    try:
        yield
    finally:
        telling.cancel()
    tell(f"{what}: {time.monotonic() - started:.1f} s")
