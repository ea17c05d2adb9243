"""The control plane's metrics, in Prometheus' conventions. Labels take few values: no node, generation or address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from grpc_lb_contract import Document, TargetState
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.sources.sink import Origin, Trouble
from proxy_image.control_plane.state import ControlPlaneState, Durations
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType

Samples = Iterable[tuple[Sequence[str], float]]
"""A value for each of several values of the labels."""


class WorkCollector(Collector):
    """Reads what the control plane has done, when it is scraped."""

    def __init__(self, state: ControlPlaneState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        return of_work(self._state)


class DocumentCollector(Collector):
    """Reads what is in use, when it is scraped."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    def collect(self) -> Iterator[Metric]:
        return of_document(self._reconciler.document, self._reconciler.origin, self._reconciler.waiting)


def of_work(state: ControlPlaneState) -> Iterator[Metric]:
    """What the control plane has done since it started, and who is connected."""
    yield _counter("documents_applied", "Target documents put into use.", [((), state.documents_applied)])
    troubles = {(trouble,): state.troubles[trouble] for trouble in Trouble}
    yield _counter("reading_failures", "Readings that gave no document, by reason.", troubles.items(), "reason")
    yield _counter("xds_responses", "xDS answers sent.", state.responses.items(), "audience", "type")
    rejections = {(audience, kind): state.rejections[audience, kind] for audience in Audience for kind in ResourceType}
    yield _counter(
        "xds_rejections", "xDS answers that a client rejected (NACK).", rejections.items(), "audience", "type"
    )
    streams = {(audience,): state.streams[audience] for audience in Audience}
    yield _gauge("xds_streams", "Open ADS streams.", streams.items(), "audience")
    age = state.target_list_age_seconds
    yield _gauge(
        "target_list_age_seconds",
        "Seconds since the source confirmed the document in use; NaN before the first time.",
        [((), float("nan") if age is None else age)],
    )
    yield _histogram(
        "event_to_envoy_seconds",
        "From ECS's event to Envoy having taken the document that it caused, by the clocks of both.",
        state.event_to_envoy,
    )
    yield _counter(
        "proxyless_calls",
        "Calls that gRPC clients without a proxy reported (LRS), by zone, client and outcome: ok, error or dropped.",
        state.clients.calls.counts.items(),
        *("service", "zone", "client", "outcome"),
    )


def of_document(document: Document | None, origin: Origin, waiting: int) -> Iterator[Metric]:
    """What is in use, and where it came from. waiting: new targets that do not accept connections yet."""
    origins = {(each,): float(each is origin) for each in Origin}
    yield _gauge("document_origin", "1 for where the document in use came from.", origins.items(), "origin")
    services = () if document is None else document.services
    yield _gauge("services", "Services in the document in use.", [((), len(services))])
    targets: dict[tuple[str, ...], float] = {}
    for service in services:
        counts = Counter(target.state for target in service.targets)
        targets |= {(service.name, state): counts[state] for state in TargetState}
    yield _gauge("targets", "Targets in the document in use.", targets.items(), "service", "state")
    yield _gauge("targets_not_admitted", "New targets that do not accept connections yet.", [((), waiting)])
    rejected = 0 if document is None else document.diagnostics.rejected_count
    yield _gauge("rejected_labels", "Docker labels that are not applied.", [((), rejected)])
    shadowed = 0 if document is None else document.diagnostics.shadowed_count
    yield _gauge("shadowed_routes", "Routes that a service asks for and another holds.", [((), shadowed)])


def _counter(name: str, what: str, samples: Samples, *labels: str) -> Metric:
    family = CounterMetricFamily(f"grpc_lb_{name}", what, labels=labels)
    return _filled(family, samples)


def _gauge(name: str, what: str, samples: Samples, *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(f"grpc_lb_{name}", what, labels=labels), samples)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, samples: Samples) -> Metric:
    for values, value in sorted(samples):
        family.add_metric([str(each) for each in values], value)
    return family


def _histogram(name: str, what: str, durations: Durations) -> Metric:
    bounds = [*(repr(float(bound)) for bound in durations.bounds), "+Inf"]
    family = HistogramMetricFamily(f"grpc_lb_{name}", what)
    counts = accumulate(map(float, durations.counts))
    family.add_metric((), list(zip(bounds, counts, strict=True)), durations.sum)
    return family
