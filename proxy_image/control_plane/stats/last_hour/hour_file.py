"""Keeps the last hour in the state directory, a line for each minute: a control plane that starts again has it."""

from __future__ import annotations

import json
import logging
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from proxy_image.control_plane.stats.last_hour.hour import MINUTES, SECONDS, Minute, ServiceMinute, TargetMinutes

log = logging.getLogger(__name__)

NAME = "hour.jsonl"
MAX_LINES = 2 * MINUTES
MAX_BYTES = 64 * 2**20


class HourFile:
    """Appends; when there are too many lines, it rewrites those of the last hour. A failure to write is logged once."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = folder / NAME
        self._clock = clock
        self._lines = 0
        self._works = True

    def load(self) -> list[Minute]:
        """The minutes of the last hour that can be read; none where there is no file, or it is of another version."""
        try:
            if self.path.stat().st_size > MAX_BYTES:
                self.path.unlink()
                return []
            lines = self.path.read_bytes().splitlines()
        except OSError:
            return []
        self._lines = len(lines)
        found = []
        for line in lines[-MINUTES:]:
            try:
                minute = from_json(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
                continue  # cut off by the end of the one that wrote it
            if self._clock() - MINUTES * SECONDS <= minute.at <= self._clock():
                found.append(minute)
        return found

    def keep(self, minute: Minute) -> None:
        try:
            if self._lines >= MAX_LINES:
                kept = self.path.read_bytes().splitlines(keepends=True)[-MINUTES:]
                partial = self.path.with_suffix(".new")
                partial.write_bytes(b"".join(kept))
                partial.replace(self.path)
                self._lines = len(kept)
            with self.path.open("ab") as file:
                file.write(json.dumps(to_json(minute), separators=(",", ":")).encode() + b"\n")
            self._lines += 1
        except OSError as error:
            if self._works:
                log.warning("hour not written", extra={"facts": {"path": str(self.path), "problem": str(error)}})
            self._works = False
        else:
            self._works = True


def to_json(minute: Minute) -> dict[str, object]:
    return {
        "at": minute.at,
        "seconds": round(minute.seconds, 3),
        "services": {
            name: [each.calls, each.failures, each.in_flight, each.p50_ms, each.p99_ms]
            for name, each in minute.services.items()
        },
        "targets": {name: [each.addresses, each.counts.tolist()] for name, each in minute.targets.items()},
    }


def from_json(content: dict[str, object]) -> Minute:
    """Raises ValueError, KeyError, TypeError or AttributeError where it is none."""
    services, targets = content["services"], content["targets"]
    if not isinstance(services, dict) or not isinstance(targets, dict):
        raise TypeError("services and targets must be objects")
    found = {
        name: TargetMinutes(tuple(map(str, names)), array("I", counts)) for name, (names, counts) in targets.items()
    }
    if any(len(each.counts) != 3 * len(each.addresses) for each in found.values()):
        raise ValueError("three counts of each target")
    at, seconds = content["at"], content["seconds"]
    if not isinstance(at, int) or not isinstance(seconds, int | float):
        raise TypeError("at and seconds must be numbers")
    return Minute(at, float(seconds), {name: ServiceMinute(*each) for name, each in services.items()}, found)
