"""Log lines that a client can cause: as many as people read, and how many were left out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

BURST = 20.0
PER_SECOND = 1.0
MAX_KINDS = 100


class LogRate(logging.Filter):
    """A filter that passes 20 lines of a kind at once and then one a second, which says how many went before unsaid.

    A kind is an event, and where it has one its fact `audience`: Envoy's lines are not lost among those of clients.
    """

    def __init__(
        self,
        *,
        burst: float = BURST,
        per_second: float = PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._kinds: dict[tuple[str, str], tuple[float, float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        facts = getattr(record, "facts", {})
        kind = str(record.msg), str(facts.get("audience", ""))
        if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
            kind = "", ""
        now = self._clock()
        tokens, at, unsaid = self._kinds.get(kind, (self._burst, now, 0))
        tokens = min(self._burst, tokens + (now - at) * self._per_second)
        if tokens < 1:
            self._kinds[kind] = tokens, now, unsaid + 1
            return False
        self._kinds[kind] = tokens - 1, now, 0
        if unsaid:
            record.facts = {**facts, "not_logged": unsaid}
        return True
