"""Envoy's bootstrap and command line: pure functions of the settings, where everything that can change comes by ADS."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy_image.settings import Settings
from proxy_image.telemetry import Address

# No service has such a name: theirs have no underscores. Envoy would keep its own cluster, and send the service's calls
# to the control plane.
CONTROL_PLANE_CLUSTER = "grpc_lb_control_plane"
TRACE_COLLECTOR_CLUSTER = "grpc_lb_trace_collector"
OWN_CLUSTERS = frozenset({CONTROL_PLANE_CLUSTER, TRACE_COLLECTOR_CLUSTER})

# What the control plane removes from each call, beside what Envoy has a place for anyway: with a place of its own,
# Envoy finds a header without a search.
FORGEABLE_HEADERS = (
    "x-real-ip",
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "cf-connecting-ip",
    "fastly-client-ip",
)

# What the control plane's listener for calls must say, for the drain to work and to be seen.
CALLS_STAT_PREFIX = "calls"
# Where its statistics of calls are: PREFIX.ended.service.NAME.status.NUMBER, PREFIX.duration_ms.service.NAME, and with
# .method.PATH after the service's name in the second.
CALLS_STATISTICS = "grpc_lb_calls"
METHODS_STATISTICS = "grpc_lb_methods"
CONNECTION_DRAIN_SECONDS = 1.0
# Of calls, waiting calls and connections, where a service sets none. Envoy's own limit of 1,024 is met by a few busy
# streaming clients (envoyproxy/envoy#9250); this one is beyond what a balancer can hold.
NO_LIMIT = 1_000_000

# Envoy sends a connection away with its next response, sooner or later by chance ("gradual"), and an idle one in the
# last third of this time, and only where the connections' own drain time fits in that third (Envoy 1.40's release
# notes, use_connection_event_drain).
_MIN_MOVE_SECONDS = 4
_MAX_MOVE_SECONDS = 30

# Connections towards tasks, log files, sockets: what is left of the descriptors when every client connection is taken.
RESERVED_DESCRIPTORS_SHARE = 4
_OWNER_ONLY = 0o600

# The supervisor and the control plane take about 150 MiB with 500 services, Envoy's code what is left of this.
RESERVED_MEMORY = 256 * 2**20
# Shares of the heap. Streams are reset by what Envoy holds of them: those of 4 MiB and more first, at RESET_ALL_FROM
# those of 64 KiB too, the least of which account is kept. A stream that is stuck holds 256 to 512 KiB.
RESET_FROM, RESET_ALL_FROM = 0.8, 0.95
ACCOUNT_POWER_OF_TWO = 16
SHRINK_FROM = 0.9
REFUSE_CALLS_FROM = 0.95
REFUSE_CONNECTIONS_FROM = 0.98

_CONNECTIONS_MONITOR = "envoy.resource_monitors.global_downstream_max_connections"
_HEAP_MONITOR = "envoy.resource_monitors.fixed_heap"

# Envoy's "info" is forty lines a start, its "debug" a dozen lines a call.
_ENVOY_LOG_LEVELS = {"debug": "info", "info": "warning", "warning": "warning", "error": "error"}


@dataclass(frozen=True, slots=True)
class Node:
    """Who this Envoy is, in what it tells the control plane and in its statistics."""

    id: str
    cluster: str
    zone: str


def bootstrap(settings: Settings, node: Node, *, descriptors: int, memory: int | None = None) -> dict[str, Any]:
    """Envoy's bootstrap as its JSON form.

    descriptors: how many files this process may open (RLIMIT_NOFILE). memory: how many bytes the balancer may take,
    None where nothing says.
    """
    tracing = settings.telemetry.tracing is not None
    collector = [_trace_collector_cluster(settings.tracing_collector)] if tracing else []
    return {
        "node": {"id": node.id, "cluster": node.cluster, "locality": {"zone": node.zone}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [
                    {
                        "envoy_grpc": {
                            "cluster_name": CONTROL_PLANE_CLUSTER,
                            # A stream that broke is opened again soon: the default goes up to 30 s
                            # (envoy.config.core.v3.GrpcService.EnvoyGrpc.retry_policy).
                            "retry_policy": {"retry_back_off": {"base_interval": "0.2s", "max_interval": "2s"}},
                        }
                    }
                ],
            },
            "lds_config": _ads(),
            "cds_config": _ads(),
        },
        "static_resources": {"clusters": [_control_plane_cluster(settings.ads_socket), *collector]},
        "cluster_manager": {"outlier_detection": {"event_log_path": str(settings.ejections_log)}},
        "layered_runtime": {"layers": [_RUNTIME, *([_tracing_runtime()] if tracing else [])]},
        "admin": {
            "address": {"pipe": {"path": str(settings.admin_socket), "mode": _OWNER_ONLY}},
            "ignore_global_conn_limit": True,
        },
        "inline_headers": [
            {"inline_header_name": name, "inline_header_type": "REQUEST_HEADER"} for name in FORGEABLE_HEADERS
        ],
        # Histograms are gathered when they are asked for, not every 5 s for nobody (Bootstrap.stats_flush_on_admin).
        "stats_flush_on_admin": True,
        "stats_config": {
            "stats_matcher": {"exclusion_list": {"patterns": [{"safe_regex": {"regex": _UNASKED_STATS}}]}}
        },
        "overload_manager": _overload_manager(descriptors, memory),
        "application_log_config": {
            "log_format": {
                "json_format": {
                    "time": "%Y-%m-%dT%T.%e%z",
                    "level": "%l",
                    "source": "envoy",
                    "event": "%j",
                    "logger": "%n",
                }
            }
        },
    }


def max_client_connections(descriptors: int) -> int:
    """How many client connections all listeners together accept; the rest wait or are refused, and Envoy lives on."""
    return max(1, descriptors - descriptors // RESERVED_DESCRIPTORS_SHARE)


def max_heap_bytes(memory: int) -> int:
    """How much of the balancer's memory Envoy's heap may take, both in bytes."""
    return max(memory // 2, memory - RESERVED_MEMORY)


def _overload_manager(descriptors: int, memory: int | None) -> dict[str, Any]:
    # https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/operations/overload_manager/overload_manager
    connections = _monitor(
        _CONNECTIONS_MONITOR,
        "downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=max_client_connections(descriptors),
    )
    if memory is None:
        return {"resource_monitors": [connections]}
    # Whoever does not read what it is sent must not take the memory of all others: its streams end first. Calls that
    # hold little are never cut for memory: new ones are refused, so that those have what is left.
    heap = _monitor(_HEAP_MONITOR, "fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=max_heap_bytes(memory))
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [connections, heap],
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": ACCOUNT_POWER_OF_TWO},
        "actions": [
            {
                "name": "envoy.overload_actions.reset_high_memory_stream",
                "triggers": [
                    {
                        "name": _HEAP_MONITOR,
                        "scaled": {"scaling_threshold": RESET_FROM, "saturation_threshold": RESET_ALL_FROM},
                    }
                ],
            },
            _from("envoy.overload_actions.shrink_heap", SHRINK_FROM),
            _from("envoy.overload_actions.stop_accepting_requests", REFUSE_CALLS_FROM),
        ],
        "loadshed_points": [_from("envoy.load_shed_points.tcp_listener_accept", REFUSE_CONNECTIONS_FROM)],
    }


def _monitor(name: str, kind: str, **options: int) -> dict[str, Any]:
    typed = {"@type": f"type.googleapis.com/envoy.extensions.resource_monitors.{kind}", **options}
    return {"name": name, "typed_config": typed}


def _from(name: str, share: float) -> dict[str, Any]:
    return {"name": name, "triggers": [{"name": _HEAP_MONITOR, "threshold": {"value": share}}]}


def move_seconds(drain_seconds: float) -> int:
    """Envoy's drain time: how long it takes to send every client away, out of the time for the whole drain."""
    shortest, longest = min(_MIN_MOVE_SECONDS, int(drain_seconds)), _MAX_MOVE_SECONDS
    return max(1, shortest, min(longest, int(drain_seconds / 5)))


def arguments(settings: Settings, config: Path, *, concurrency: int) -> Sequence[str]:
    """Envoy's command line after the binary's name."""
    return (
        "--config-path",
        str(config),
        "--concurrency",
        str(concurrency),
        "--log-level",
        _ENVOY_LOG_LEVELS[settings.log_level],
        "--drain-time-s",
        str(move_seconds(settings.drain_seconds)),
        "--drain-strategy",
        "gradual",
        # Hot restart's abstract sockets carry one number per machine: two balancers would clash. Nothing here uses it.
        "--disable-hot-restart",
        # Every 10 s by default: whoever looks for a failing call, or an ejection, should see it as it happens.
        *("--file-flush-interval-msec", "1000"),
    )


def to_json(config: dict[str, Any]) -> str:
    return json.dumps(config, indent=1, sort_keys=True)


def _ads() -> dict[str, Any]:
    # 0 s is "wait for ever" (core.v3.ConfigSource.initial_fetch_timeout; default 15 s): workers never start with
    # nothing to serve, however late the control plane is.
    return {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


def _control_plane_cluster(socket: Path) -> dict[str, Any]:
    return {
        "name": CONTROL_PLANE_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": CONTROL_PLANE_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": str(socket)}}}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    # A control plane that hangs without dying is noticed, and its stream opened again.
                    "http2_protocol_options": {"connection_keepalive": {"interval": "10s", "timeout": "10s"}}
                },
            }
        },
    }


# Spans leave together, as many as a second has: by default every 5 spans are a request
# (https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/trace/v3/opentelemetry.proto).
_MIN_FLUSH_SPANS = 512
FLUSH_MILLISECONDS = 1000


def _tracing_runtime() -> dict[str, Any]:
    flush = {"min_flush_spans": _MIN_FLUSH_SPANS, "flush_interval_ms": FLUSH_MILLISECONDS}
    return {"name": "tracing", "static_layer": {"tracing": {"opentelemetry": flush}}}


# Envoy closes a connection half of whose first 500 streams are reset within a second of their start, as a gRPC
# deadline or cancel does: https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/operations/runtime
_NEVER = 2**31 - 1
MAX_CALLS_PER_READ = 10
MAX_REGEX_PROGRAM = 2_000
# A flag of QUICHE, oghttp2's library, under the name by which Envoy's runtime takes it.
MAPS_IN_BLOCKS = "FLAGS_envoy_quiche_reloadable_flag_quiche_linked_hash_map_use_stable_block_list"
_RUNTIME = {
    "name": "calls",
    "static_layer": {
        "overload": {"premature_reset_total_stream_count": _NEVER},
        # Of expressions for deadlines; Envoy's own limit is 100, and what is beyond is rejected with all routes.
        "re2": {"max_program_size": {"error_level": MAX_REGEX_PROGRAM}},
        # What bounds such an attack instead: of one read of a connection, this many calls are begun; the rest wait for
        # the worker's next round, and those that are reset by then never reach a server.
        "http": {"max_requests_per_io_cycle": MAX_CALLS_PER_READ},
        # nghttp2, Envoy's own choice, ends a whole connection where one call has 64 KiB of metadata or many calls are
        # cancelled. As a guard, because the field for it logs a warning for each cluster.
        # That codec's maps of metadata, without a block of memory for each: a call costs 1 to 2 % less.
        "envoy": {"reloadable_features": {"http2_use_oghttp2": True, MAPS_IN_BLOCKS: False}},
    },
}


def _trace_collector_cluster(address: Address) -> dict[str, Any]:
    return {
        "name": TRACE_COLLECTOR_CLUSTER,
        "type": "STATIC" if address.is_ip else "STRICT_DNS",
        "connect_timeout": "1s",
        # A collector that is away or hangs holds this many bundles of spans in memory, and no more.
        "circuit_breakers": {"thresholds": [{"max_pending_requests": 8, "max_requests": 8}]},
        "load_assignment": {
            "cluster_name": TRACE_COLLECTOR_CLUSTER,
            "endpoints": [
                {
                    "lb_endpoints": [
                        {
                            "endpoint": {
                                "address": {"socket_address": {"address": address.host, "port_value": address.port}}
                            }
                        }
                    ]
                }
            ],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }


# Histograms cost each call a clock reading and a recording; nobody reads those of connections' lengths and the
# control plane's own stream. The filter for gRPC-Web counts by method, and methods are what clients make up.
_UNASKED_STATS = (
    rf".*\.(downstream|upstream)_cx_length_ms|cluster\.{CONTROL_PLANE_CLUSTER}\..*_time|cluster\.[^.]+\.grpc-web\..*"
)
