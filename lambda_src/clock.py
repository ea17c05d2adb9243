"""The time, so that tests have their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

SecondsLeft = Callable[[], float]
"""How much of the invocation's time is left."""


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` is in seconds since 1970: a Lambda's monotonic clock stands still between invocations."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class OutOfTime(RuntimeError):  # noqa: N818 - the name says what is the matter
    """The invocation ends before the refresh does. What was read and written is kept, and the next one goes on."""
