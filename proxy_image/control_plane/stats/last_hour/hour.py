"""The last hour, minute by minute: calls, failures, latency and calls in flight of each service and target, bounded."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from proxy_image.control_plane.stats.envoy_stats import Reading, ServiceCounts
from proxy_image.control_plane.stats.histogram import difference, percentiles
from proxy_image.control_plane.stats.window import service_window

MINUTES = 60
SECONDS = 60
# Readings come once a second while someone looks: so far apart are those that are counted.
COUNT_EVERY_SECONDS = 10.0
# Of all services together: 12 bytes for each in each minute.
MAX_TARGETS = 5_000
# Fewer minutes say nothing of what is usual.
ENOUGH_MINUTES = 5
_MOST = 2**32 - 1
_FIELDS = 3


@dataclass(frozen=True, slots=True)
class ServiceMinute:
    calls: int
    failures: int
    in_flight: int
    """The most that were seen at once."""
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class TargetMinutes:
    """Of each address, one after the other: calls, failures, and the most in flight that was seen."""

    addresses: tuple[str, ...]
    counts: array[int]

    def of(self, address: str) -> tuple[int, int, int] | None:
        try:
            place = self.addresses.index(address) * _FIELDS
        except ValueError:
            return None
        return self.counts[place], self.counts[place + 1], self.counts[place + 2]


@dataclass(frozen=True, slots=True)
class Minute:
    """at: its beginning, seconds since 1970. seconds: how much time was counted."""

    at: int
    seconds: float
    services: Mapping[str, ServiceMinute]
    targets: Mapping[str, TargetMinutes]


@dataclass(frozen=True, slots=True)
class Usual:
    """How a service does on most minutes of the last hour; None where it is not known yet."""

    p50_ms: float | None = None
    in_flight: float | None = None


UNKNOWN_USUAL = Usual()


@dataclass(slots=True)
class _Running:
    calls: int = 0
    failures: int = 0
    in_flight: int = 0
    targets: dict[str, list[int]] = field(default_factory=dict)


class Hour:
    def __init__(self, minutes: Sequence[Minute] = ()) -> None:
        self.minutes: deque[Minute] = deque(minutes, maxlen=MINUTES)
        self._at: int | None = None
        self._opening: Reading | None = None
        self._last: Reading | None = None
        self._seconds = 0.0
        self._running: dict[str, _Running] = {}
        self._usual: dict[str, Usual] = {}
        self._usual_of: Minute | None = None

    def read(self, reading: Reading, wall: float) -> Minute | None:
        """Envoy was read at `wall`, seconds since 1970. Returns the minute that ended with it, where one did."""
        at = int(wall) // SECONDS * SECONDS
        if self._last is None or self._opening is None or reading.is_of_another_envoy(self._last):
            self._opening = self._last = reading
            self._at = at if self._at is None else self._at
            return None
        ended = at != self._at
        if ended or reading.at - self._last.at >= COUNT_EVERY_SECONDS:
            self._count(self._last, reading)
            self._last = reading
        if not ended or self._at is None:
            return None
        minute = Minute(self._at, self._seconds, dict(self._services(self._opening, reading)), self._targets())
        self.minutes.append(minute)
        self._at, self._opening, self._seconds, self._running = at, reading, 0.0, {}
        return minute

    def usual(self) -> Mapping[str, Usual]:
        """Of each service of the newest minute."""
        newest = self.minutes[-1] if self.minutes else None
        if newest is not self._usual_of:
            self._usual_of = newest
            self._usual = {name: self._usual_of_one(name) for name in (newest.services if newest else ())}
        return self._usual

    def _usual_of_one(self, name: str) -> Usual:
        known = [found for minute in self.minutes if (found := minute.services.get(name)) is not None and found.calls]
        timed = [each.p50_ms for each in known if each.p50_ms is not None]
        return Usual(
            median(timed) if len(timed) >= ENOUGH_MINUTES else None,
            float(median(each.in_flight for each in known)) if len(known) >= ENOUGH_MINUTES else None,
        )

    def _count(self, before: Reading, after: Reading) -> None:
        self._seconds += after.at - before.at
        room = MAX_TARGETS
        nothing = ServiceCounts({})
        # Without Envoy, and for proxyless clients, the calls are known that clients report.
        for name in dict.fromkeys((*after.services, *after.reported)):
            counts = after.services.get(name, nothing)
            window = service_window(name, before, after)
            running = self._running.setdefault(name, _Running())
            running.calls += window.calls
            running.failures += window.failures
            running.in_flight = max(running.in_flight, counts.in_flight)
            for address, lately in window.targets.items():
                if room <= 0:
                    break
                room -= 1
                had = running.targets.setdefault(address, [0, 0, 0])
                had[0] += lately.calls
                had[1] += lately.failures
                had[2] = max(had[2], counts.targets[address].in_flight)

    def _services(self, opening: Reading, reading: Reading) -> Iterator[tuple[str, ServiceMinute]]:
        nothing = ServiceCounts({})
        for name, running in self._running.items():
            old, new = opening.services.get(name, nothing), reading.services.get(name, nothing)
            p50, p99 = percentiles(difference(old.ended.latency, new.ended.latency), (50.0, 99.0))
            if p50 is None and len(reading.services) == 1:
                # Envoy times all calls together; where there is one service, they are its own.
                p50, p99 = percentiles(difference(opening.latency, reading.latency), (50.0, 99.0))
            yield name, ServiceMinute(running.calls, running.failures, running.in_flight, p50, p99)

    def _targets(self) -> dict[str, TargetMinutes]:
        before = self.minutes[-1].targets if self.minutes else {}
        found = {}
        for name, running in self._running.items():
            addresses = tuple(running.targets)
            if name in before and before[name].addresses == addresses:
                addresses = before[name].addresses  # one tuple for an hour of them
            flat = array("I", (min(_MOST, number) for counts in running.targets.values() for number in counts))
            found[name] = TargetMinutes(addresses, flat)
        return found
