"""When to say again what is wrong: as it comes, and every minute while it lasts, so that alarms on the line stay."""

from __future__ import annotations

import time
from collections.abc import Callable

AGAIN_SECONDS = 60.0


class RecurringLog:
    """Of one trouble at a time; `what` tells it apart from another."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: object = None
        self._said_at = 0.0

    def is_due(self, what: object) -> bool:
        """Whether it is to be said now; then it counts as said."""
        if what == self._said and self.seconds_left > 0:
            return False
        self._said, self._said_at = what, self._clock()
        return True

    @property
    def seconds_left(self) -> float:
        return self._said_at + AGAIN_SECONDS - self._clock()

    def over(self) -> None:
        self._said = None
