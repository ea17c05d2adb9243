"""Reads Envoy's statistics: about once a second while someone looks, seldom otherwise, at once for a scrape."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote

from proxy_image.control_plane.stats import silence_log
from proxy_image.control_plane.stats.admin_answers import STATS_FILTER, UnreadableError, read
from proxy_image.control_plane.stats.envoy_stats import Reading
from proxy_image.control_plane.stats.history.ejection_log import EjectionLog
from proxy_image.control_plane.stats.history.journal import Journal
from proxy_image.control_plane.stats.last_hour.hour import Hour
from proxy_image.control_plane.stats.last_hour.hour_file import HourFile
from proxy_image.control_plane.stats.reported_calls import ReportedCalls
from proxy_image.control_plane.stats.silent_targets import SilenceWatch
from proxy_image.control_plane.stats.window import WINDOW_SECONDS
from proxy_image.envoy.admin import Admin, AdminError

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
# A page that hears nothing for 14 s reconnects.
MAX_LOOK_SECONDS = 10.0
# Of a core, for readings while someone looks. Making the pages takes about 1.3 times as much again.
READING_SHARE = 0.006
# Nobody looks: often enough that a page shows a share as it opens, and that ejections are in the history.
IDLE_SECONDS = 15.0
# However many ask at once.
MIN_SECONDS = 0.2
# Enough for the window at the fastest pace.
MAX_READINGS = round((WINDOW_SECONDS + 2) / MIN_SECONDS)


class EnvoyStatistics(Admin):
    """The three requests of a reading. All only read; nothing that a page's visitor sends reaches them."""

    def reading(self) -> Reading:
        """Raises `AdminError` or `UnreadableError`."""
        clusters = self._ask("GET", "/clusters?format=json")
        stats = self._ask("GET", f"/stats?format=json&histogram_buckets=detailed&filter={quote(STATS_FILTER)}")
        return read(clusters, stats, self._ask("GET", "/server_info"), time.monotonic())


class Watcher:
    def __init__(
        self,
        statistics: EnvoyStatistics | None,
        journal: Journal,
        kept: HourFile | None = None,
        ejections: EjectionLog | None = None,
        reported: Callable[[], Mapping[str, ReportedCalls]] = dict,
    ) -> None:
        """statistics: None where there is no Envoy. kept: where the last hour is kept; by default in memory alone.
        ejections: what Envoy logs of them; by default readings alone tell of them. reported: what clients without a
        proxy told of their calls so far; by default nothing.
        """
        self._statistics = statistics
        self._journal = journal
        self._lock = asyncio.Lock()
        self._read_at = -MIN_SECONDS
        self._lookers = 0
        self._reading_cost = 0.0
        self._someone_looks = asyncio.Event()
        self._ticked = asyncio.Condition()
        self.ticks = 0
        self.readings: deque[Reading] = deque(maxlen=MAX_READINGS)
        self.silence = SilenceWatch()
        self.hour = Hour()
        self._kept = kept
        self._reported = reported
        self._started = time.monotonic()
        self._ejections = ejections
        self.problem: str | None = None
        """Why the last reading failed."""

    @property
    def has_envoy(self) -> bool:
        return self._statistics is not None

    async def run(self) -> None:
        if self._kept is not None:
            self.hour = Hour(await asyncio.to_thread(self._kept.load))
        while True:
            await self.fresh()
            async with self._ticked:
                self.ticks += 1
                self._ticked.notify_all()
            if self._lookers:
                await asyncio.sleep(self._pause())
            else:
                self._someone_looks.clear()
                try:
                    await asyncio.wait_for(self._someone_looks.wait(), IDLE_SECONDS)
                except TimeoutError:
                    continue

    def _pause(self) -> float:
        """A second; longer for a fleet of which a reading takes long, so that pages never take the balancer's CPU."""
        return min(MAX_LOOK_SECONDS, max(LOOK_SECONDS, self._reading_cost / READING_SHARE))

    @contextmanager
    def looking(self) -> Iterator[None]:
        """While someone looks, readings come once a second."""
        self._lookers += 1
        self._someone_looks.set()
        try:
            yield
        finally:
            self._lookers -= 1

    async def next_tick(self, seen: int) -> int:
        async with self._ticked:
            await self._ticked.wait_for(lambda: self.ticks != seen)
            return self.ticks

    async def fresh(self) -> Reading | None:
        """A reading that began after this call did: a scrape counts every call that ended before it. None: no Envoy."""
        asked = time.monotonic()
        async with self._lock:
            if self._read_at < asked:
                await asyncio.sleep(max(0.0, self._read_at + MIN_SECONDS - time.monotonic()))
                self._read_at = time.monotonic()
                await self._read()
        return self.readings[-1] if self.readings and self.problem is None else None

    async def recent(self) -> None:
        """Enough for eyes: at most as old as the readings of a live page."""
        if not self.readings or time.monotonic() - self.readings[-1].at > LOOK_SECONDS:
            await self.fresh()

    async def _read(self) -> None:
        # Before the reading, which then knows better.
        news = [] if self._ejections is None else await asyncio.to_thread(self._ejections.news)
        self._journal.logged(news)
        try:
            reading = await self._look()
        except (AdminError, UnreadableError) as error:
            if self.problem is None:
                log.warning("statistics not readable", extra={"facts": {"problem": str(error)}})
            self.problem = str(error)
            return
        except Exception as error:  # whatever it is, no statistics are worth the control plane
            log.exception("statistics failed")
            self.problem = f"internal: {error!r}"
            return
        if self.problem is not None:
            log.info("statistics readable again")
        self.problem = None
        last = self.readings[-1] if self.readings else None
        self._journal.read(last, reading)
        if last is not None and not reading.is_of_another_envoy(last):
            before = self.silence.now
            self.silence.add(last, reading, time.time())
            silence_log.tell(before, self.silence.now)
        elif last is not None:
            self.silence = SilenceWatch()
            self.readings.clear()  # its counts say nothing of what the one before did
        self.readings.append(reading)
        while len(self.readings) > 2 and reading.at - self.readings[1].at > WINDOW_SECONDS:
            self.readings.popleft()
        ended = self.hour.read(reading, time.time())
        if ended is not None and self._kept is not None:
            await asyncio.to_thread(self._kept.keep, ended)

    async def _look(self) -> Reading:
        if self._statistics is None:
            now = time.monotonic()
            reading = Reading(now, {}, uptime_seconds=int(now - self._started))
        else:
            reading, self._reading_cost = await asyncio.to_thread(_timed, self._statistics)
        return replace(reading, reported=self._reported())


def _timed(statistics: EnvoyStatistics) -> tuple[Reading, float]:
    """A reading, and the CPU time that it took."""
    began = time.thread_time()
    return statistics.reading(), time.thread_time() - began
