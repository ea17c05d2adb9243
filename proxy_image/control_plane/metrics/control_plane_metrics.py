"""The control plane's metrics, in Prometheus' conventions. Labels take few values: no node, generation or address."""

from __future__ import annotations

import logging
import time
from collections import Counter as Count
from collections.abc import Collection, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from grpc_lb_contract import Document, TargetState
from proxy_image.control_plane.changes import changed_services
from proxy_image.control_plane.sources.sink import Origin, Trouble
from proxy_image.control_plane.stats.history import Journal
from proxy_image.control_plane.xds.proxyless.client_kind import ClientKind
from proxy_image.control_plane.xds.proxyless.load_reports import CallCounts
from proxy_image.control_plane.xds.proxyless.register import ClientRegister
from proxy_image.control_plane.xds.proxyless.unfollowed import Unfollowed
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType

# A time beside each counter is one more series that nobody asked for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client has not typed it


log = logging.getLogger(__name__)

# From what a good day needs (about a second) to what wakes people; the minute's refresh finds what events did not tell.
EVENT_TO_ENVOY_BUCKETS = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 120, 300)


class _ReportedCalls(Collector):
    """Calls that clients without a proxy have told of, and those clients."""

    def __init__(self, clients: ClientRegister) -> None:
        self._clients = clients

    def collect(self) -> Iterator[Metric]:
        calls = CounterMetricFamily(
            "grpc_lb_proxyless_calls",
            "Calls that gRPC clients without a proxy told of (LRS), by their zone and outcome: ok, error or dropped.",
            labels=("service", "zone", "outcome"),
        )
        for key, count in sorted(self._clients.calls.counts.items()):
            calls.add_metric(key, count)
        yield calls


class Metrics:
    """One registry, so that several control planes in one process (tests) keep apart."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.journal = Journal() if journal is None else journal
        self.registry = CollectorRegistry()
        self.streams: Count[Audience] = Count()
        self.clients = ClientRegister()
        self.registry.register(_ReportedCalls(self.clients))
        self.confirmed_at: float | None = None
        self._applied = self._counter("documents_applied", "Target documents put into use.")
        self._troubles = self._counter("reading_failures", "Readings that gave no document, by reason.", "reason")
        self._responses = self._counter("xds_responses", "xDS answers sent.", "audience", "type")
        self._rejections = self._counter(
            "xds_rejections", "xDS answers that a client rejected (NACK).", "audience", "type"
        )
        self._streams = self._gauge("xds_streams", "Open ADS streams.", "audience")
        self._origin = self._gauge("document_origin", "1 for where the document in use came from.", "origin")
        self._services = self._gauge("services", "Services in the document in use.")
        self._targets = self._gauge("targets", "Targets in the document in use.", "service", "state")
        self._waiting = self._gauge("targets_not_admitted", "New targets that do not accept connections yet.")
        age = self._gauge(
            "target_list_age_seconds",
            "Seconds since the source confirmed the document in use; NaN before the first time.",
        )
        age.set_function(lambda: float("nan") if self.confirmed_at is None else time.monotonic() - self.confirmed_at)
        self._rejected = self._gauge("rejected_labels", "Docker labels that are not applied.")
        self._shadowed = self._gauge("shadowed_routes", "Routes that a service asks for and another holds.")
        self._event_to_envoy = Histogram(
            "grpc_lb_event_to_envoy_seconds",
            "From ECS's event to Envoy having taken the document that it caused, by the clocks of both.",
            buckets=EVENT_TO_ENVOY_BUCKETS,
            registry=self.registry,
        )
        self._document: Document | None = None
        for trouble in Trouble:
            self._troubles.labels(trouble)
        for audience in Audience:
            self._streams.labels(audience)
            for resource_type in ResourceType:
                self._rejections.labels(audience, resource_type)
        self.origin(Origin.NONE)

    def stream_opened(self, audience: Audience) -> None:
        self.streams[audience] += 1
        self._streams.labels(audience).inc()

    def stream_closed(self, audience: Audience, node: str) -> None:
        self.journal.gone(audience, node)
        self.streams[audience] -= 1
        self._streams.labels(audience).dec()

    def response_sent(self, audience: Audience, resource_type: str) -> None:
        self._responses.labels(audience, resource_type).inc()

    def accepted(self, audience: Audience, resource_type: str, node: str) -> None:
        self.journal.accepted(audience, resource_type, node)

    def rejected(self, audience: Audience, resource_type: str, node: str, error: str) -> None:
        self.journal.rejected(audience, resource_type, node, error)
        self._rejections.labels(audience, resource_type).inc()

    def in_use(self, audience: Audience, generation: str) -> None:
        change = self.journal.in_use(generation) if audience is Audience.ENVOY else None
        if change is None:
            return
        seconds = change.event_to_envoy_seconds
        if seconds is not None:
            self._event_to_envoy.observe(seconds)
        log.info("generation in use", extra={"facts": {"generation": generation, "event_to_envoy_seconds": seconds}})

    def subscribed(
        self,
        stream: object,
        kind: ClientKind,
        zone: str,
        services: Collection[str],
        unfollowed: Collection[Unfollowed],
    ) -> None:
        self.clients.subscribed(stream, kind, zone, services, unfollowed)

    def gone(self, stream: object) -> None:
        self.clients.gone(stream)

    @property
    def reported_calls(self) -> CallCounts:
        return self.clients.calls

    def confirmed(self) -> None:
        self.confirmed_at = time.monotonic()

    def troubled(self, trouble: Trouble) -> None:
        self._troubles.labels(trouble).inc()

    def origin(self, origin: Origin) -> None:
        for each in Origin:
            self._origin.labels(each).set(each is origin)

    def waiting(self, targets: int) -> None:
        self._waiting.set(targets)

    def applied(self, document: Document) -> None:
        self._applied.inc()
        self._services.set(len(document.services))
        self._rejected.set(document.diagnostics.rejected_count)
        self._shadowed.set(document.diagnostics.shadowed_count)
        before, after = changed_services(self._document, document)
        self._document = document
        for gone in {service.name for service in before} - {service.name for service in after}:
            for state in TargetState:
                self._targets.remove(gone, state)
        for service in after:
            counts = Count(target.state for target in service.targets)
            for state in TargetState:
                self._targets.labels(service.name, state).set(counts[state])

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"grpc_lb_{name}", what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"grpc_lb_{name}", what, labels, registry=self.registry)
