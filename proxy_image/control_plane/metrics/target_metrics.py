"""Envoy's counts as Prometheus metrics: made at a scrape from one reading, so that nothing is kept between scrapes."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from grpc_lb_contract import Service
from proxy_image.control_plane.metrics.call_metrics import ended_families
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.stats.envoy_stats import Reading, ServiceCounts
from proxy_image.control_plane.stats.watcher import Watcher

# Series of targets, over all services. A fleet beyond it has the series of its services alone: no half of a sum.
MAX_TARGETS = 1_000


class EnvoyCollector(Collector):
    """The targets that stand in the document now.

    A target's counts start again when Envoy learns of it or starts, as Prometheus' rate() expects of counters."""

    def __init__(self, reconciler: Reconciler, watcher: Watcher) -> None:
        self._reconciler = reconciler
        self._watcher = watcher

    def collect(self) -> Iterator[Metric]:
        readable = self._watcher.problem is None and bool(self._watcher.readings)
        yield GaugeMetricFamily(
            "grpc_lb_envoy_readable", "1 where Envoy's statistics could be read for this scrape.", value=float(readable)
        )
        if readable:
            document = self._reconciler.document
            yield from families(() if document is None else document.services, self._watcher.readings[-1])


def families(services: tuple[Service, ...], reading: Reading) -> Iterator[Metric]:
    yield GaugeMetricFamily("grpc_lb_envoy_uptime_seconds", "Seconds since Envoy started.", reading.uptime_seconds)
    yield GaugeMetricFamily("grpc_lb_client_connections", "Open connections of clients.", reading.connections)
    yield CounterMetricFamily("grpc_lb_received_calls", "Calls that clients sent to this balancer.", reading.calls)
    yield from _service_families(services, reading)
    yield from ended_families(services, reading)
    within = sum(len(service.targets) for service in services) <= MAX_TARGETS
    yield GaugeMetricFamily(
        "grpc_lb_target_series",
        f"1 where targets have series of their own: up to {MAX_TARGETS:,} targets.",
        int(within),
    )
    if within:
        yield from _target_families(services, reading)


def _service_families(services: tuple[Service, ...], reading: Reading) -> Iterator[Metric]:
    calls = CounterMetricFamily("grpc_lb_service_calls", "Calls sent to the service's targets.", labels=["service"])
    retries = CounterMetricFamily("grpc_lb_service_retries", "Calls tried again.", labels=["service"])
    unsent = CounterMetricFamily(
        "grpc_lb_service_calls_without_target", "Calls that failed because no target takes any.", labels=["service"]
    )
    over = CounterMetricFamily(
        "grpc_lb_service_calls_over_limit", "Calls that failed because a limit was reached.", labels=["service"]
    )
    resets = CounterMetricFamily(
        "grpc_lb_service_resets", "Streams that a target reset: refused, or cut off.", labels=["service"]
    )
    ejections = CounterMetricFamily("grpc_lb_service_ejections", "Ejections of targets.", labels=["service"])
    active = GaugeMetricFamily("grpc_lb_service_calls_in_flight", "Calls in flight.", labels=["service"])
    used = GaugeMetricFamily("grpc_lb_service_limit_used", "Use of a limit now.", labels=["service", "limit"])
    limit = GaugeMetricFamily("grpc_lb_service_limit", "Most that is allowed at once.", labels=["service", "limit"])
    for service in services:
        counts = reading.services.get(service.name, ServiceCounts({}))
        calls.add_metric([service.name], counts.calls)
        retries.add_metric([service.name], counts.retries)
        unsent.add_metric([service.name], counts.no_target)
        over.add_metric([service.name], counts.overflows)
        resets.add_metric([service.name], counts.resets)
        ejections.add_metric([service.name], counts.ejections)
        active.add_metric([service.name], counts.in_flight)
        for breaker in counts.breakers:
            labels = [service.name, breaker.name.replace(" ", "_")]
            used.add_metric(labels, breaker.used)
            limit.add_metric(labels, breaker.limit)
    yield from (calls, retries, unsent, over, resets, ejections, active, used, limit)


def _target_families(services: tuple[Service, ...], reading: Reading) -> Iterator[Metric]:
    names = ["service", "group", "target"]
    calls = CounterMetricFamily("grpc_lb_target_calls", "Calls sent to the target, tries included.", labels=names)
    failures = CounterMetricFamily(
        "grpc_lb_target_failures",
        "Tries that failed at the target: UNAVAILABLE, INTERNAL and their like, cut off, or not connected.",
        labels=names,
    )
    unconnected = CounterMetricFamily(
        "grpc_lb_target_connection_failures", "Connections to the target that could not be made.", labels=names
    )
    active = GaugeMetricFamily("grpc_lb_target_calls_in_flight", "Calls in flight at the target.", labels=names)
    ejected = GaugeMetricFamily("grpc_lb_target_ejected", "1 while Envoy sends the target no calls.", labels=names)
    for service in services:
        known = reading.services.get(service.name, ServiceCounts({})).targets
        for target in service.targets:
            if target.address in known:
                counts, labels = known[target.address], [service.name, target.group, target.address]
                calls.add_metric(labels, counts.calls)
                failures.add_metric(labels, counts.failures)
                unconnected.add_metric(labels, counts.connections_failed)
                active.add_metric(labels, counts.in_flight)
                ejected.add_metric(labels, int(counts.ejected))
    yield from (calls, failures, unconnected, active, ejected)
