"""Calls that ended as Prometheus metrics: by service and gRPC status, by method, and how long they took."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from grpc_lb_contract import Service
from proxy_image.control_plane.stats.envoy_stats import Reading, ServiceCounts
from proxy_image.control_plane.stats.histogram import Histogram

# Seconds. Each is a bound of Envoy's own buckets, so that no call is on the wrong side of one.
BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def ended_families(services: tuple[Service, ...], reading: Reading) -> Iterator[Metric]:
    """Without samples where Envoy is told not to count them."""
    calls = CounterMetricFamily(
        "grpc_lb_calls", "Calls that ended, as callers saw them.", labels=["service", "grpc_status"]
    )
    unrouted = CounterMetricFamily(
        "grpc_lb_unrouted_calls", "Calls that no service took, as callers saw them.", labels=["grpc_status"]
    )
    times = HistogramMetricFamily(
        "grpc_lb_call_duration_seconds",
        "How long calls took, streams from beginning to end. The sum is an estimate, made of buckets.",
        labels=["service"],
    )
    methods = CounterMetricFamily(
        "grpc_lb_method_calls",
        "Calls that ended, by method; the first 1,000 that callers named.",
        labels=["service", "method", "grpc_status"],
    )
    for service in services:
        counts = reading.services.get(service.name, ServiceCounts({}))
        for status, count in sorted(counts.ended.statuses.items()):
            calls.add_metric([service.name, status], count)
        if counts.ended.statuses:
            times.add_metric([service.name], _buckets(counts.ended.latency), _sum(counts.ended.latency))
        for method, ended in sorted(counts.methods.items()):
            for status, count in sorted(ended.statuses.items()):
                methods.add_metric([service.name, method, status], count)
    for status, count in sorted(reading.unrouted.statuses.items()):
        unrouted.add_metric([status], count)
    yield from (calls, unrouted, times, methods)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Counts up to each bound."""
    counts = [0.0] * len(BOUNDS)
    total = 0.0
    for (lower, width), count in histogram.buckets.items():
        total += count
        for place, bound in enumerate(BOUNDS):
            # Milliseconds that Envoy gives as binary fractions: 409.99999999999994 + 10.
            if lower + width <= bound * 1000 + 1e-6:
                counts[place] += count
    return [*zip(map(str, BOUNDS), counts, strict=True), ("+Inf", total)]


def _sum(histogram: Histogram) -> float:
    return sum((lower + width / 2) * count for (lower, width), count in histogram.buckets.items()) / 1000
