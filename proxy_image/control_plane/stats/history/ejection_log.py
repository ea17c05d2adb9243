"""Envoy's log of ejections and returns: each with its reason, also those that come and go between two readings.

https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/outlier#ejection-event-logging
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

# Envoy appends, so that the file may be cut to nothing once it is read.
MAX_BYTES = 2**20

# https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/data/cluster/v3/outlier_detection_event.proto, by the type's name.
WHY = {
    "CONSECUTIVE_5XX": "it answered with errors several times in a row",
    "CONSECUTIVE_GATEWAY_FAILURE": "it answered UNAVAILABLE or DEADLINE_EXCEEDED, or broke off, several times in a row",
    "CONSECUTIVE_LOCAL_ORIGIN_FAILURE": "connections to it fail",
    "SUCCESS_RATE": "its share of good answers was far below the others'",
    "SUCCESS_RATE_LOCAL_ORIGIN": "connections to it fail far more often than to the others",
    "FAILURE_PERCENTAGE": "too many of its answers were errors",
    "FAILURE_PERCENTAGE_LOCAL_ORIGIN": "too many connections to it fail",
}


@dataclass(frozen=True, slots=True)
class EjectionEvent:
    """at: seconds since 1970. cluster: as Envoy names it. ejected: False where it takes calls again."""

    at: float
    cluster: str
    address: str
    ejected: bool
    why: str


class EjectionLog:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def news(self) -> list[EjectionEvent]:
        """What was written since the last time; nothing where there is no file. Blocks for a read."""
        try:
            with self._path.open("rb+") as file:
                size = os.fstat(file.fileno()).st_size
                if size < self._offset:
                    self._offset = 0
                file.seek(self._offset)
                text = file.read(MAX_BYTES)
                whole = text[: text.rfind(b"\n") + 1]
                self._offset += len(whole)
                if self._offset >= size and size > MAX_BYTES:
                    file.truncate(0)
                    self._offset = 0
        except OSError:
            return []
        return list(events(whole))


def events(text: bytes) -> Iterator[EjectionEvent]:
    """Of whole lines. What is not enforced, or cannot be read, is left out."""
    for line in text.splitlines():
        try:
            told = json.loads(line)
            if told["action"] == "EJECT" and not told.get("enforced", False):
                continue
            at = datetime.fromisoformat(told["timestamp"]).timestamp()
            ejected = told["action"] == "EJECT"
            why = WHY.get(told.get("type", ""), "calls to it fail")
            yield EjectionEvent(at, told["cluster_name"], told["upstream_url"], ejected, why)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
