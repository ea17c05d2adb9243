"""Envoy's bootstrap: a pure function of the settings, where everything that can change comes by ADS."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy_image.envoy.overload import overload_manager
from proxy_image.envoy.shared_values import CONTROL_PLANE_CLUSTER, FORGEABLE_HEADERS, TRACE_COLLECTOR_CLUSTER
from proxy_image.settings import Settings
from proxy_image.telemetry import Address

_OWNER_ONLY = 0o600


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
        "overload_manager": overload_manager(descriptors, memory),
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
