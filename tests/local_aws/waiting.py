"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.waiting import PATIENCE_SECONDS

T = TypeVar("T")


def until(what: str, found: Callable[[], T], *, within: float = PATIENCE_SECONDS, every: float = 0.1) -> T:
    """The first truthy thing that FOUND finds, asked EVERY so many seconds, and less often the longer it takes: where
    FOUND asks for tasks, that costs this process and the local AWS milliseconds of CPU each time.
    """
    started = time.monotonic()
    deadline = started + within
    while True:
        if it := found():
            return it
        if time.monotonic() > deadline:
            raise AssertionError(f"within {within} s it must be so that {what}")
        time.sleep(max(every, (time.monotonic() - started) / 10))
