"""Metrics for CloudWatch: once a minute, lines on stderr, of which CloudWatch Logs makes metrics without an agent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from grpc_lb_contract import Document
from grpc_lb_contract import cloudwatch as names
from grpc_lb_contract.cloudwatch import Directive, Values, metrics_line
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.report.report import ProxylessCalls
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.stats.envoy_stats import Reading
from proxy_image.control_plane.stats.minute_stats import Figures, Tally
from proxy_image.control_plane.stats.watcher import Watcher
from proxy_image.control_plane.xds.proxyless.load_reports import OTHERS

log = logging.getLogger(__name__)

# CloudWatch's own step: finer ones cost more, and alarms and scaling look at minutes.
EVERY_SECONDS = 60.0
# Each service is seven metrics, each of which is billed. Those beyond count for the balancer's own metrics alone.
MAX_SERVICES = 200
# So few failures in a minute are a client's bad luck; a service that few call must wake nobody for one of them.
FAILURES_THAT_COUNT = 5
STDERR = 2
# A line of up to 4 KiB stays whole in a pipe, and one that is cut makes no metric: what it says of clients is bounded.
MAX_TOLD_OF, MAX_TEXT = 15, 64


@dataclass(frozen=True, slots=True)
class BalancerState:
    """How the balancer itself does. event_to_envoy_seconds: the longest of the minute, None where no change of a task
    reached Envoy; connections: None where Envoy's statistics could not be read.
    """

    target_list_age_seconds: float
    event_to_envoy_seconds: float | None
    envoy_restarts: int
    rejected_resources: int
    connections: int | None


def lines(
    balancer: str,
    namespace: str,
    services: Mapping[str, Figures],
    standing: BalancerState,
    *,
    at: float,
    proxyless: Mapping[str, Sequence[ProxylessCalls]] = MappingProxyType({}),
) -> Iterator[str]:
    """A line for each service, and one for the balancer; `at` is in seconds since 1970.

    `proxyless`: those of a service's calls that clients without a proxy told of, which the line says, and of which no
    metric is made: their zones and versions would each be billed.
    """
    own = {names.BALANCER: balancer}
    for number, (name, figures) in enumerate(sorted(services.items())):
        told = _told(
            {
                names.CALLS: figures.calls,
                names.FAILURES: figures.failures,
                names.IMBALANCE: figures.imbalance,
                names.SERVING_TARGETS: figures.serving,
                names.EJECTED_TARGETS: figures.ejected,
                names.SATURATION: figures.saturation,
            }
        )
        per_target = _told({names.CALLS_PER_TARGET: figures.calls_per_target})
        of_balancer = Directive(((names.BALANCER,),), {names.FAILURE_PERCENT: failure_percent(figures)})
        of_service = (names.BALANCER, names.SERVICE)
        directives = (
            [Directive(((names.BALANCER,), of_service), told), Directive((of_service,), per_target), of_balancer]
            if number < MAX_SERVICES
            else [Directive(((names.BALANCER,),), told), of_balancer]
        )
        dimensions = {**own, names.SERVICE: name}
        told_of = _told_of(proxyless.get(name, ()))
        more = {"proxyless": told_of} if told_of else {}
        yield metrics_line(*directives, at=at, namespace=namespace, dimensions=dimensions, **more)
    told = _told(
        {
            names.DRAINING_TARGETS: sum(figures.draining or 0 for figures in services.values()),
            names.TARGET_LIST_AGE: standing.target_list_age_seconds,
            names.EVENT_TO_ENVOY_SECONDS: standing.event_to_envoy_seconds,
            names.ENVOY_RESTARTS: standing.envoy_restarts,
            names.REJECTED_RESOURCES: standing.rejected_resources,
            names.CLIENT_CONNECTIONS: standing.connections,
        }
    )
    directive = Directive(((names.BALANCER,),), told)
    left_out = max(0, len(services) - MAX_SERVICES)
    yield metrics_line(directive, at=at, namespace=namespace, dimensions=own, services_without_metrics=left_out)


def _told_of(calls: Sequence[ProxylessCalls]) -> list[dict[str, object]]:
    """The most calls as they are, and the others together."""
    most = frozenset(sorted(calls, key=lambda each: each.calls, reverse=True)[:MAX_TOLD_OF])
    others: Counter[str] = Counter()
    for each in calls:
        if each not in most:
            others[each.outcome] += each.calls
    return [
        *(
            {"zone": each.zone[:MAX_TEXT], "client": each.client[:MAX_TEXT], each.outcome: each.calls}
            for each in calls
            if each in most
        ),
        *({"zone": OTHERS, "client": OTHERS, outcome: count} for outcome, count in sorted(others.items()) if count),
    ]


def failure_percent(figures: Figures) -> float:
    if figures.failures < FAILURES_THAT_COUNT:
        return 0.0
    # A call that began before the minute may fail within it.
    return min(100.0, 100 * figures.failures / max(1, figures.calls))


def _told(values: Mapping[names.Metric, float | None]) -> Values:
    return {metric: value for metric, value in values.items() if value is not None}


class Publisher:
    """Follows the statistics, and writes what happened in each minute of the clock.

    Every balancer of a name writes once in each minute, so that the sum over all of them is that minute's sum.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        state: ControlPlaneState,
        watcher: Watcher,
        *,
        balancer: str,
        namespace: str,
        write: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._reconciler = reconciler
        self._state = state
        self._watcher = watcher
        self._balancer = balancer
        self._namespace = namespace
        self._write = _to_stderr if write is None else write
        self._clock = clock
        self._started = time.monotonic()
        self._told_at = state.journal.started
        self._tally = Tally()
        self._told_calls: Counter[tuple[str, str, str, str]] = Counter()
        self._last: Reading | None = None
        self._wrote = True

    async def run(self) -> None:
        """Until it is cancelled; then it writes what happened since the last line."""
        try:
            while True:
                end = (self._clock() // EVERY_SECONDS + 1) * EVERY_SECONDS
                await self._follow_until(end)
                try:
                    await self.tell(at=end - EVERY_SECONDS)
                except Exception:  # whatever it is, no metrics are worth the control plane
                    log.exception("metrics failed")
        finally:
            await self.tell(at=self._clock() // EVERY_SECONDS * EVERY_SECONDS, last=True)

    async def tell(self, *, at: float, last: bool = False) -> None:
        readable = await self._watcher.fresh() is not None
        self._count()
        # What was counted before Envoy could not be read waits for the next minute; where none comes, it is told now.
        services = self._tally.take(self._document) if readable or last else {}
        # A minute's end has the connections that are open then: another control plane may tell of this minute's.
        standing = self._standing(connections=readable and not last)
        proxyless = self._proxyless() if services else {}
        text = "".join(
            f"{line}\n"
            for line in lines(self._balancer, self._namespace, services, standing, at=at, proxyless=proxyless)
        )
        try:
            await asyncio.to_thread(self._write, text)
        except OSError as error:
            if self._wrote:
                log.warning("metrics not written", extra={"facts": {"problem": str(error)}})
            self._wrote = False
        else:
            self._wrote = True

    def _proxyless(self) -> dict[str, list[ProxylessCalls]]:
        """Since this was asked the last time."""
        before, now = self._told_calls, Counter(self._state.clients.calls.counts)
        self._told_calls = now
        found: dict[str, list[ProxylessCalls]] = {}
        for key, count in sorted((now - before).items()):
            found.setdefault(key[0], []).append(ProxylessCalls(*key, count))
        return found

    def _standing(self, *, connections: bool) -> BalancerState:
        journal, since, self._told_at = self._state.journal, self._told_at, time.time()
        reached = [
            change.event_to_envoy_seconds
            for change in journal.changes
            if change.event_to_envoy_seconds is not None and (change.envoy_at or 0) >= since
        ]
        return BalancerState(
            target_list_age_seconds=time.monotonic() - (self._state.confirmed_at or self._started),
            event_to_envoy_seconds=max(reached, default=None),
            envoy_restarts=sum(when >= since for when in journal.envoy_restarts),
            rejected_resources=len(journal.rejections),
            connections=self._watcher.readings[-1].connections if connections else None,
        )

    async def _follow_until(self, end: float) -> None:
        while (left := end - self._clock()) > 0:
            # An Envoy that drains soon stops, and with it what it has counted since it was last read.
            drains = self._last is not None and self._last.draining
            with self._watcher.looking() if drains else contextlib.nullcontext():
                try:
                    await asyncio.wait_for(self._watcher.next_tick(self._watcher.ticks), left)
                except TimeoutError:
                    return
            self._count()

    def _count(self) -> None:
        if not self._watcher.readings:
            return
        reading = self._watcher.readings[-1]
        if self._last is None:
            # What an Envoy that is older than this control plane counted before, another one has told.
            younger = reading.uptime_seconds <= reading.at - self._started + 1
            self._last = Reading(reading.at, {}) if younger else replace(reading, reported={})
        if reading is not self._last:
            self._tally.add(self._last, reading, self._document, self._reconciler.newcomers)
            self._last = reading

    @property
    def _document(self) -> Document:
        return self._reconciler.document or Document()


def _to_stderr(text: str) -> None:
    # Each line in one write: Envoy and the supervisor log to the same pipe, and one of up to 4 KiB stays whole. Stdout
    # is for the access log alone, which Envoy writes in large pieces.
    for line in text.splitlines(keepends=True):
        os.write(STDERR, line.encode())
