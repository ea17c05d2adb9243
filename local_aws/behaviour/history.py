"""Records as they were: what an eventually consistent read shows."""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

KEPT_SECONDS = 60.0


class History:
    """The states of records by key. A record that is not changed afterwards is seen as it was put."""

    def __init__(self) -> None:
        self._states: dict[str, list[tuple[float, Mapping[str, Any]]]] = {}

    def put(self, key: str, record: Mapping[str, Any], now: float) -> None:
        states = self._states.setdefault(key, [])
        states.append((now, copy.deepcopy(dict(record))))
        while len(states) > 1 and states[1][0] < now - KEPT_SECONDS:
            del states[0]

    def at(self, key: str, moment: float) -> Mapping[str, Any] | None:
        """The state then; None where the record was not there yet."""
        states = self._states.get(key, [])
        place = bisect_right(states, moment, key=lambda state: state[0])
        return states[place - 1][1] if place else None
