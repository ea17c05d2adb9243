"""An NLB as Envoy's configuration: pure functions from listeners and targets to xDS files.

Files, moved into place, are Envoy's simplest xDS: https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/overview/xds_api
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CHECK_SECONDS = 0.25  # an NLB's shortest interval is 5 s; a laptop need not wait
CHECK_TIMEOUT_SECONDS = 2.0  # two busy cores answer late
CONNECT_TIMEOUT_SECONDS = 5.0
TYPE = "type.googleapis.com/envoy."


@dataclass(frozen=True, slots=True)
class Check:
    """How a target group asks its targets. Without a path: a TCP connect."""

    port: int | None
    """None: the port the target is registered with."""
    path: str | None
    healthy_threshold: int
    unhealthy_threshold: int
    statuses: tuple[tuple[int, int], ...] = ((200, 200),)
    """Which HTTP statuses are healthy, both ends included."""


@dataclass(frozen=True, slots=True)
class TargetAddress:
    ip: str
    port: int
    draining: bool = False


@dataclass(frozen=True, slots=True)
class TargetGroup:
    name: str
    check: Check | None
    targets: tuple[TargetAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    port: int
    group: str


def bootstrap(folder: str, node: str) -> dict[str, Any]:
    def watched(file: str) -> dict[str, Any]:
        source = {"path": f"{folder}/{file}", "watched_directory": {"path": folder}}
        return {"path_config_source": source, "resource_api_version": "V3"}

    return {
        "node": {"id": node, "cluster": "nlb"},
        "admin": {"address": {"pipe": {"path": f"{folder}/admin.sock"}}},
        "dynamic_resources": {"lds_config": watched("lds.json"), "cds_config": watched("cds.json")},
    }


def clusters(groups: Iterable[TargetGroup], folder: str) -> dict[str, Any]:
    return _response(_cluster(group, folder) for group in groups)


def _cluster(group: TargetGroup, folder: str) -> dict[str, Any]:
    endpoints = {"path": f"{folder}/eds-{group.name}.json", "watched_directory": {"path": folder}}
    cluster: dict[str, Any] = {
        "@type": TYPE + "config.cluster.v3.Cluster",
        "name": group.name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"path_config_source": endpoints, "resource_api_version": "V3"}},
        # An NLB hashes the flow, with the client's port in it: a new connection lands anywhere.
        "lb_policy": "RANDOM",
        "connect_timeout": _seconds(CONNECT_TIMEOUT_SECONDS),
        # No target that is draining or has failed its check gets a new connection, whatever the others do.
        # By default a change of health may wait a second for others to come with it.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"},
        "ignore_health_on_host_removal": True,
        # Far above what one machine does: an NLB has no such limit.
        "circuit_breakers": {
            "thresholds": [{"max_connections": 1_000_000, "max_pending_requests": 1_000_000}],
        },
    }
    if group.check is not None:
        cluster["health_checks"] = [_health_check(group.check)]
    return cluster


def _health_check(check: Check) -> dict[str, Any]:
    common = {
        "timeout": _seconds(CHECK_TIMEOUT_SECONDS),
        "interval": _seconds(CHECK_SECONDS),
        "no_traffic_interval": _seconds(CHECK_SECONDS),  # 60 s by default
        "healthy_threshold": check.healthy_threshold,
        "unhealthy_threshold": check.unhealthy_threshold,
    }
    if check.path is None:
        return common | {"tcp_health_check": {}}
    statuses = [{"start": first, "end": last + 1} for first, last in check.statuses]  # half open
    return common | {"http_health_check": {"path": check.path, "expected_statuses": statuses}}


def endpoints(group: TargetGroup) -> dict[str, Any]:
    assignment = {
        "@type": TYPE + "config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": group.name,
        "endpoints": [{"lb_endpoints": [_endpoint(target, group.check) for target in group.targets]}],
    }
    return _response([assignment])


def _endpoint(target: TargetAddress, check: Check | None) -> dict[str, Any]:
    endpoint: dict[str, Any] = {"address": _address(target.ip, target.port)}
    if check is not None and check.port is not None:
        endpoint["health_check_config"] = {"port_value": check.port}
    # DRAINING: no new connection, and those that are there go on.
    return {"endpoint": endpoint, "health_status": "DRAINING" if target.draining else "UNKNOWN"}


def listeners(wanted: Sequence[Listener], address: str) -> dict[str, Any]:
    return _response(_listener(listener, address) for listener in wanted)


def _listener(listener: Listener, address: str) -> dict[str, Any]:
    proxy = {
        "@type": TYPE + "extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": f"port_{listener.port}",
        "cluster": listener.group,
        # An NLB forgets a silent connection after this time (its fixed default for TCP), and tells nobody.
        "idle_timeout": _seconds(350),
    }
    return {
        "@type": TYPE + "config.listener.v3.Listener",
        "name": f"port-{listener.port}",
        "address": _address(address, listener.port),
        "filter_chains": [{"filters": [{"name": "tcp_proxy", "typed_config": proxy}]}],
    }


def _address(ip: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": ip, "port_value": port}}


def _response(resources: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {"resources": [dict(resource) for resource in resources]}


def _seconds(value: float) -> str:
    return f"{value:g}s"
