"""A reading made of what Envoy's admin interface answers, in JSON: pure functions.

https://www.envoyproxy.io/docs/envoy/v1.40.0/operations/admin, `/clusters?format=json`, `/stats?format=json` and
`/server_info`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from grpc_lb_contract.names import host_port
from proxy_image.control_plane.stats import call_stats
from proxy_image.control_plane.stats.call_stats import NONE_ENDED, EndedCalls
from proxy_image.control_plane.stats.envoy_stats import (
    EJECTIONS,
    Breaker,
    Reading,
    Received,
    ServiceCounts,
    TargetCounts,
)
from proxy_image.control_plane.stats.histogram import NO_TIMES, Histogram
from proxy_image.envoy.shared_values import CALLS_STAT_PREFIX, NO_LIMIT, OWN_CLUSTERS

# A cluster bears its service's name, and where a service has several, something after it that no name can hold.
_SERVICE = re.compile(r"[a-z0-9-]+")

ALL_CALLS = f"http.{CALLS_STAT_PREFIX}.downstream_rq_time"
_PER_CLUSTER = (
    "upstream_rq_(total|active|pending_active|retry|pending_overflow|pending_failure_eject)"
    "|http2[.]rx_reset"
    "|upstream_cx_(active|none_healthy|rx_bytes_total|tx_bytes_total)"
    "|upstream_flow_control_(paused_reading|resumed_reading|backed_up|drained)_total"
    f"|outlier_detection[.]ejections_enforced_(total|{'|'.join(EJECTIONS)})"
)
STATS_FILTER = (
    f"^(cluster[.][^.]+[.]({_PER_CLUSTER})|http[.]{CALLS_STAT_PREFIX}[.]downstream_(rq_time|rq_total|rq_active|cx_active)"
    "|overload[.]envoy[.](resource_monitors[.]fixed_heap[.]pressure"
    f"|overload_actions[.]stop_accepting_requests[.]active)|{call_stats.STATS_FILTER})$"
)


class UnreadableError(ValueError):
    """Envoy's answer is not what its documentation says."""


def read(clusters: str, stats: str, info: str, at: float) -> Reading:
    """Raises `UnreadableError`."""
    try:
        # Not the statistics server.uptime and server.state: asked for, they are those of when they were last asked for.
        server = json.loads(info)
        uptime = int(float(server["uptime_current_epoch"].removesuffix("s")))
        values, histograms = _stats(json.loads(stats)["stats"])
        calls_ended = call_stats.ended_calls(values, histograms)
        services: dict[str, ServiceCounts] = {}
        for status in json.loads(clusters)["cluster_statuses"]:
            match = _SERVICE.match(status["name"])
            if match is None or status["name"] in OWN_CLUSTERS:
                continue
            counts = _service(status, values, calls_ended)
            name = match.group()
            if name != status["name"]:
                counts = replace(counts, breakers=())  # those of copies bound no call
            services[name] = _together(services[name], counts) if name in services else counts
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableError(f"statistics of Envoy must be as documented for 1.40, got {error!r}") from error
    calls = f"http.{CALLS_STAT_PREFIX}.downstream_"
    return Reading(
        at,
        services,
        connections=values.get(f"{calls}cx_active", 0),
        calls=values.get(f"{calls}rq_total", 0),
        in_flight=values.get(f"{calls}rq_active", 0),
        latency=histograms.get(ALL_CALLS, NO_TIMES),
        unrouted=calls_ended.services.get("", NONE_ENDED),
        uptime_seconds=uptime,
        draining=server.get("state") == "DRAINING",  # envoy.admin.v3.ServerInfo.State
        heap_percent=values.get("overload.envoy.resource_monitors.fixed_heap.pressure", 0),
        refuses_calls=values.get("overload.envoy.overload_actions.stop_accepting_requests.active", 0) > 0,
    )


def _stats(entries: list[dict[str, Any]]) -> tuple[dict[str, int], dict[str, Histogram]]:
    values: dict[str, int] = {}
    histograms: dict[str, Histogram] = {}
    for entry in entries:
        if "histograms" in entry:
            for detail in entry["histograms"]["details"]:
                histograms[detail["name"]] = Histogram.of(detail["totals"])
        elif isinstance(entry["value"], int):
            values[entry["name"]] = entry["value"]
    return values, histograms


def _service(status: Mapping[str, Any], values: Mapping[str, int], calls_ended: EndedCalls) -> ServiceCounts:
    prefix = f"cluster.{status['name']}."

    def value(name: str) -> int:
        return values.get(prefix + name, 0)

    # The first thresholds are those of ordinary calls; "HIGH" is a priority that no route of ours has.
    limits = status.get("circuit_breakers", {}).get("thresholds", [{}])[0]
    used = {
        "connections": ("max_connections", value("upstream_cx_active")),
        "waiting calls": ("max_pending_requests", value("upstream_rq_pending_active")),
        "calls": ("max_requests", value("upstream_rq_active")),
    }
    return ServiceCounts(
        targets=dict(_targets(status.get("host_statuses", ()))),
        calls=value("upstream_rq_total"),
        in_flight=value("upstream_rq_active"),
        retries=value("upstream_rq_retry"),
        overflows=value("upstream_rq_pending_overflow"),
        resets=value("http2.rx_reset"),
        no_target=value("upstream_cx_none_healthy"),
        unconnected=value("upstream_rq_pending_failure_eject"),
        ejections=value("outlier_detection.ejections_enforced_total"),
        ejected_for={kind: value(f"outlier_detection.ejections_enforced_{kind}") for kind in EJECTIONS},
        breakers=tuple(
            Breaker(name, used_now, int(limits[key]))
            for name, (key, used_now) in used.items()
            if int(limits.get(key, NO_LIMIT)) < NO_LIMIT
        ),
        ended=calls_ended.services.get(status["name"], NONE_ENDED),
        methods=calls_ended.methods.get(status["name"], {}),
        received={status["name"]: _received(value)},
        paused=value("upstream_flow_control_paused_reading_total"),
        resumed=value("upstream_flow_control_resumed_reading_total"),
        backed_up=value("upstream_flow_control_backed_up_total"),
        drained=value("upstream_flow_control_drained_total"),
        bytes_read=value("upstream_cx_rx_bytes_total"),
        bytes_written=value("upstream_cx_tx_bytes_total"),
    )


def _received(value: Callable[[str], int]) -> Received:
    sent = value("upstream_rq_total")
    # Envoy counts a try as sent once it has a connection for it: not one that waited for a connection that failed.
    unsent = sum(
        map(value, ("upstream_rq_pending_failure_eject", "upstream_rq_pending_overflow", "upstream_cx_none_healthy"))
    )
    return Received(calls=sent + unsent - value("upstream_rq_retry"), sent=sent)


def _targets(hosts: Any) -> Iterator[tuple[str, TargetCounts]]:
    for host in hosts:
        where = host["address"]["socket_address"]
        # Envoy leaves out a value of zero, as JSON of protobuf does, and writes 64-bit numbers as text.
        stats = {stat["name"]: int(stat["value"]) for stat in host.get("stats", ()) if "value" in stat}
        health = host.get("health_status", {})
        yield (
            host_port(where["address"], where["port_value"]),
            TargetCounts(
                calls=stats.get("rq_total", 0),
                failures=stats.get("rq_error", 0),
                in_flight=stats.get("rq_active", 0),
                connections=stats.get("cx_active", 0),
                connections_failed=stats.get("cx_connect_fail", 0),
                ejected=bool(health.get("failed_outlier_check", False)),
                unhealthy=bool(health.get("failed_active_health_check", False)),
                draining=health.get("eds_health_status") == "DRAINING",
                successes=stats.get("rq_success", 0),
                timeouts=stats.get("rq_timeout", 0),
            ),
        )


_T = TypeVar("_T", TargetCounts, ServiceCounts)


def _added(one: _T, other: _T) -> dict[str, Any]:
    """The fields that are counts, added, and those that are flags: of either."""
    pairs = {each.name: (getattr(one, each.name), getattr(other, each.name)) for each in fields(one)}
    return {
        name: first or second if isinstance(first, bool) else first + second
        for name, (first, second) in pairs.items()
        if isinstance(first, int)
    }


def _together(one: ServiceCounts, other: ServiceCounts) -> ServiceCounts:
    # A target may be of both, as where a service gets copies of another one's calls.
    both = one.targets.keys() & other.targets.keys()
    in_both = {at: TargetCounts(**_added(one.targets[at], other.targets[at])) for at in both}
    return ServiceCounts(
        targets={**one.targets, **other.targets, **in_both},
        ejected_for=call_stats.sums(one.ejected_for, other.ejected_for),
        breakers=one.breakers + other.breakers,
        ended=call_stats.together({"": one.ended}, {"": other.ended})[""],
        methods=call_stats.together(one.methods, other.methods),
        received={**one.received, **other.received},
        **_added(one, other),
    )
