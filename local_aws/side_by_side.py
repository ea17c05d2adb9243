"""Work that goes on side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def all_of(*coroutines: Coroutine[Any, Any, None]) -> None:
    """All, or the first failure, with the others stopped."""
    running = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*running)
    finally:
        for one in running:
            one.cancel()
