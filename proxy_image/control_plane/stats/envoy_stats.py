"""One look at Envoy's statistics: what it counts of each target, of each service, and in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy_image.control_plane.stats.call_stats import NONE_ENDED, Ended
from proxy_image.control_plane.stats.histogram import NO_TIMES, Histogram
from proxy_image.control_plane.stats.reported_calls import ReportedCalls

# Uptimes are whole seconds, and a reading takes its time.
_UPTIME_ROUNDED = 3

EJECTIONS = ("consecutive_gateway_failure", "consecutive_5xx", "success_rate")
"""Envoy's reasons to eject beside failures to connect:
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/upstream/cluster_manager/cluster_stats#outlier-detection-statistics
"""


# Not frozen, as nothing that is made of each target in each reading: it takes twice as long to make a frozen one.
@dataclass(slots=True)
class TargetCounts:
    """Since the target was made known to Envoy. `calls` are those sent to it, tries included; `failures` of those ended
    with a gRPC status that says the server failed (UNAVAILABLE, INTERNAL, …) or were cut."""

    calls: int = 0
    failures: int = 0
    in_flight: int = 0
    connections: int = 0
    connections_failed: int = 0
    ejected: bool = False
    unhealthy: bool = False
    """It has not passed its health checks, where its service asks for them."""
    draining: bool = False
    successes: int = 0
    timeouts: int = 0
    """Of the failures, those where Envoy waited no longer: the target said nothing."""

    @property
    def answered(self) -> int:
        """Calls that ended with a status of the target's own, or with its connection."""
        return self.successes + max(0, self.failures - self.timeouts)


@dataclass(frozen=True, slots=True)
class Breaker:
    """A limit of a service's cluster, and how much of it is used now."""

    name: str
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class Received:
    """What came to one cluster, each call once however often it was tried. `sent`, the tries, falls only where Envoy
    counts from zero; `calls` also while a call waits to be retried."""

    calls: int
    sent: int


@dataclass(frozen=True, slots=True)
class ServiceCounts:
    targets: Mapping[str, TargetCounts]
    """By address, `ip:port` or `[ip]:port`."""
    calls: int = 0
    in_flight: int = 0
    retries: int = 0
    overflows: int = 0
    """Calls that failed at once because a limit was reached."""
    resets: int = 0
    """Streams that a target reset, such as those beyond what it takes on a connection. A server that ends a call before
    its caller has half-closed resets it too, with NO_ERROR."""
    no_target: int = 0
    """Calls that failed because no target takes any."""
    unconnected: int = 0
    """Tries that waited for a connection that failed: Envoy makes each a failure of its target that it tries again,
    but not the last."""
    ejections: int = 0
    ejected_for: Mapping[str, int] = field(default_factory=dict)
    """Of those, by each of EJECTIONS."""
    breakers: tuple[Breaker, ...] = ()
    ended: Ended = NONE_ENDED
    """Calls as their callers saw them; none where Envoy does not count them."""
    methods: Mapping[str, Ended] = field(default_factory=dict)
    """The same by method, `package.Service/Method`."""
    received: Mapping[str, Received] = field(default_factory=dict)
    """By cluster."""
    paused: int = 0
    """Times that a stream's target was told to wait because its caller does not read; less `resumed`, it waits now."""
    resumed: int = 0
    backed_up: int = 0
    """Times that a stream's caller was told to wait because its target does not read; less `drained`, it waits now."""
    drained: int = 0
    bytes_read: int = 0
    """From its targets, all of HTTP/2."""
    bytes_written: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """All that Envoy says at one moment, beside what clients without a proxy told. `at` is monotonic seconds."""

    at: float
    services: Mapping[str, ServiceCounts]
    connections: int = 0
    calls: int = 0
    in_flight: int = 0
    latency: Histogram = NO_TIMES
    unrouted: Ended = NONE_ENDED
    """Calls that no service took."""
    uptime_seconds: int = 0
    draining: bool = False
    heap_percent: int = 0
    """Of what Envoy's heap may take; 0 where it has no bound."""
    refuses_calls: bool = False
    """New calls are refused, because the heap is nearly used up."""
    reported: Mapping[str, ReportedCalls] = field(default_factory=dict)
    """By service."""

    def is_of_another_envoy(self, before: Reading) -> bool:
        """Than an earlier reading, so that all counts restarted: also where its own have passed those of the other."""
        return self.uptime_seconds - before.uptime_seconds < self.at - before.at - _UPTIME_ROUNDED
