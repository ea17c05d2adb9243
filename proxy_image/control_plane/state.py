"""What the control plane remembers of its own work: its clients, their answers, and the readings of its source.

Plain counts and facts. The web page, the log, Prometheus (`metrics.control_plane_metrics`) and CloudWatch read them.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from collections import Counter

from proxy_image.control_plane.sources.sink import Trouble
from proxy_image.control_plane.stats.history.journal import Journal
from proxy_image.control_plane.xds.proxyless.client_register import ClientRegister
from proxy_image.control_plane.xds.resource_types import Audience

log = logging.getLogger(__name__)

# From what a good day needs (about a second) to what wakes people; the minute's refresh finds what events did not tell.
EVENT_TO_ENVOY_BUCKETS = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 120, 300)


class Durations:
    """How many durations, in seconds, were at most each bound; the last count is of those beyond all bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


class ControlPlaneState:
    """An `Observer` of the xDS streams. `confirmed_at` is by the monotonic clock, None before the first time."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.journal = Journal() if journal is None else journal
        self.clients = ClientRegister()
        self.streams: Counter[Audience] = Counter()
        self.responses: Counter[tuple[Audience, str]] = Counter()
        self.rejections: Counter[tuple[Audience, str]] = Counter()
        self.troubles: Counter[Trouble] = Counter()
        self.documents_applied = 0
        self.event_to_envoy = Durations(EVENT_TO_ENVOY_BUCKETS)
        self.confirmed_at: float | None = None

    @property
    def target_list_age_seconds(self) -> float | None:
        return None if self.confirmed_at is None else time.monotonic() - self.confirmed_at

    def confirmed(self) -> None:
        self.confirmed_at = time.monotonic()

    def stream_opened(self, audience: Audience) -> None:
        self.streams[audience] += 1

    def stream_closed(self, audience: Audience, node: str) -> None:
        self.journal.gone(audience, node)
        self.streams[audience] -= 1

    def response_sent(self, audience: Audience, resource_type: str) -> None:
        self.responses[audience, resource_type] += 1

    def accepted(self, audience: Audience, resource_type: str, node: str) -> None:
        self.journal.accepted(audience, resource_type, node)

    def rejected(self, audience: Audience, resource_type: str, node: str, error: str) -> None:
        self.journal.rejected(audience, resource_type, node, error)
        self.rejections[audience, resource_type] += 1

    def in_use(self, generation: str) -> None:
        change = self.journal.in_use(generation)
        if change is None:
            return
        seconds = change.event_to_envoy_seconds
        if seconds is not None:
            self.event_to_envoy.observe(seconds)
        log.info("generation in use", extra={"facts": {"generation": generation, "event_to_envoy_seconds": seconds}})
