"""Envoy's two listeners: calls, and the readiness that load balancers ask for."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from envoy.config.core.v3 import protocol_pb2, socket_option_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.health_check.v3 import health_check_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.type.matcher.v3 import string_pb2

from proxy_image.control_plane.xds.endpoints import socket_address
from proxy_image.control_plane.xds.envoy.client_address import (
    from_proxy_protocol,
    take_forged_addresses_out,
    tell_servers,
)
from proxy_image.control_plane.xds.envoy.clusters import ads_config_source
from proxy_image.control_plane.xds.envoy.grpc_web import http1_filter, http1_reply
from proxy_image.control_plane.xds.envoy.http2 import CALLERS_CONNECTION_BUFFER, CALLERS_RECEIVE_BUFFER, to_callers
from proxy_image.control_plane.xds.envoy.replies import replies
from proxy_image.control_plane.xds.envoy.route_policy import listener_filters
from proxy_image.control_plane.xds.envoy.telemetry.access_log import access_log
from proxy_image.control_plane.xds.envoy.telemetry.call_statistics import call_statistics
from proxy_image.control_plane.xds.envoy.telemetry.tracing import traced
from proxy_image.control_plane.xds.messages import boolean, duration, packed, uint32, with_connection_duration_jitter
from proxy_image.envoy.shared_values import CALLS_STAT_PREFIX, CONNECTION_DRAIN_SECONDS
from proxy_image.metadata import DEFAULT_METADATA, MetadataLimits
from proxy_image.telemetry import OFF, Telemetry

CALLS = "calls"
READINESS = "readiness"
READY_PATH = "/ready"

# As Envoy's inspector names them.
HTTP1 = ("http/1.0", "http/1.1")
HTTP1_HEADERS_SECONDS = 15.0

Hcm = http_connection_manager_pb2.HttpConnectionManager


@dataclass(frozen=True, slots=True)
class ConnectionTimes:
    """How client connections are kept and renewed. None of these ends a call."""

    # A Network Load Balancer forgets a TCP connection after 350 s without data.
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html#connection-idle-timeout
    ping_seconds: float = 60.0
    ping_timeout_seconds: float = 30.0
    # After this long, and up to half as long again, a client is sent to a new connection (GOAWAY; calls on the old one
    # finish), which the load balancer may give to another balancer: so load spreads after a scale-out.
    renew_seconds: float = 600.0
    renew_jitter_percent: float = 50.0
    # Time between the two GOAWAYs, in which calls that are on their way still come in.
    drain_seconds: float = CONNECTION_DRAIN_SECONDS


@dataclass(frozen=True, slots=True)
class Ports:
    bind_address: str
    calls: int
    ready: int
    proxy_protocol: bool = False
    """Whether connections begin with the caller's address, in the PROXY protocol."""


def listeners(
    ports: Ports,
    times: ConnectionTimes,
    telemetry: Telemetry = OFF,
    metadata: MetadataLimits = DEFAULT_METADATA,
) -> tuple[Any, Any]:
    managers = manager, http1_manager = _calls_manager(times, metadata), _http1_manager(times, metadata)
    for each in managers:
        take_forged_addresses_out(each)
        if ports.proxy_protocol:
            tell_servers(each)
        if telemetry.tracing is not None:
            traced(each, telemetry.tracing)
        if telemetry.access_log is not None:
            each.access_log.append(access_log(telemetry.access_log, proxy_protocol=ports.proxy_protocol))
        if telemetry.statistics is not None:
            each.access_log.extend(call_statistics(telemetry.statistics))
    calls = _listener(CALLS, ports.bind_address, ports.calls, manager)
    _take_http1_apart(calls, http1_manager)
    calls.per_connection_buffer_limit_bytes.CopyFrom(uint32(CALLERS_CONNECTION_BUFFER))
    # Accepted connections inherit it.
    calls.socket_options.add(
        description="SO_RCVBUF in bytes",
        level=socket.SOL_SOCKET,
        name=socket.SO_RCVBUF,
        int_value=CALLERS_RECEIVE_BUFFER,
        state=socket_option_pb2.SocketOption.STATE_PREBIND,
    )
    # Connections are few and live long: each worker gets its share, where the kernel's hash might give all to one.
    calls.connection_balance_config.exact_balance.SetInParent()
    # A failing readiness (/healthcheck/fail) does not yet send clients away: connections end when the listeners drain.
    calls.drain_type = listener_pb2.Listener.MODIFY_ONLY
    readiness = _listener(READINESS, ports.bind_address, ports.ready, _readiness_manager())
    if ports.proxy_protocol:
        # The load balancer's health checks begin with it too; others that ask, in the task, do not.
        calls.listener_filters.insert(0, from_proxy_protocol())
        readiness.listener_filters.insert(0, from_proxy_protocol(or_without=True))
    # Readiness is answered even where all client connections are taken or memory is short, or the balancer would be
    # replaced, and its calls cut, for being busy.
    readiness.ignore_global_conn_limit = True
    readiness.bypass_overload_manager = True
    return calls, readiness


def _listener(name: str, address: str, port: int, manager: Any) -> Any:
    return listener_pb2.Listener(
        name=name,
        stat_prefix=name,
        address=socket_address(address, port),
        filter_chains=[_filter_chain(manager)],
    )


def _filter_chain(manager: Any, protocols: Sequence[str] = ()) -> Any:
    return listener_components_pb2.FilterChain(
        filter_chain_match=listener_components_pb2.FilterChainMatch(application_protocols=protocols),
        filters=[
            listener_components_pb2.Filter(
                name="envoy.filters.network.http_connection_manager", typed_config=packed(manager)
            )
        ],
    )


def _take_http1_apart(calls: Any, manager: Any) -> None:
    """Connections that begin with a request of HTTP/1 go another way: those of gRPC are what they are without it."""
    calls.listener_filters.add(
        name="envoy.filters.listener.http_inspector", typed_config=packed(http_inspector_pb2.HttpInspector())
    )
    calls.filter_chains.append(_filter_chain(manager, HTTP1))
    # A connection that says nothing yet is not closed (default: after 15 s): it is taken for gRPC's.
    calls.continue_on_listener_filters_timeout = True


def _calls_manager(times: ConnectionTimes, metadata: MetadataLimits) -> Any:
    return Hcm(
        stat_prefix=CALLS_STAT_PREFIX,
        codec_type=Hcm.HTTP2,
        rds=http_connection_manager_pb2.Rds(config_source=ads_config_source(), route_config_name=CALLS),
        http_filters=[*(_switched_off(name, options) for name, options in listener_filters()), _router()],
        max_request_headers_kb=uint32(metadata.kib),
        common_http_protocol_options=with_connection_duration_jitter(
            protocol_pb2.HttpProtocolOptions(
                max_connection_duration=duration(times.renew_seconds), max_headers_count=uint32(metadata.entries)
            ),
            times.renew_jitter_percent,
        ),
        http2_protocol_options=to_callers(
            metadata,
            protocol_pb2.KeepaliveSettings(
                interval=duration(times.ping_seconds), timeout=duration(times.ping_timeout_seconds)
            ),
        ),
        local_reply_config=replies(),
        drain_timeout=duration(times.drain_seconds),
        # Streams may be quiet for as long as they like (default: 5 minutes); deadlines are the caller's.
        stream_idle_timeout=duration(0),
        request_timeout=duration(0),
        # "expect" and its answer are the server's (default: Envoy answers, and removes it).
        proxy_100_continue=True,
        # What costs time on each call and nobody asked for.
        generate_request_id=boolean(False),
        normalize_path=boolean(False),
        merge_slashes=False,
        server_header_transformation=Hcm.PASS_THROUGH,
        use_remote_address=boolean(False),
        skip_xff_append=True,
        # For targets that are sent the PROXY protocol, which ours are not.
        add_proxy_protocol_connection_state=boolean(False),
    )


def _http1_manager(times: ConnectionTimes, metadata: MetadataLimits) -> Any:
    """For browsers without TLS, which speak no HTTP/2."""
    manager = _calls_manager(times, metadata)
    manager.codec_type = Hcm.HTTP1
    manager.http_filters.insert(0, http1_filter())
    manager.local_reply_config.mappers.append(http1_reply())
    manager.request_headers_timeout.CopyFrom(duration(HTTP1_HEADERS_SECONDS))
    return manager


def _readiness_manager() -> Any:
    health = health_check_pb2.HealthCheck(
        pass_through_mode=boolean(False),
        headers=[
            route_components_pb2.HeaderMatcher(name=":path", string_match=string_pb2.StringMatcher(exact=READY_PATH))
        ],
    )
    return Hcm(
        stat_prefix=READINESS,
        codec_type=Hcm.AUTO,
        route_config=route_pb2.RouteConfiguration(name=READINESS),
        http_filters=[
            http_connection_manager_pb2.HttpFilter(name="envoy.filters.http.health_check", typed_config=packed(health)),
            _router(),
        ],
        generate_request_id=boolean(False),
        server_header_transformation=Hcm.PASS_THROUGH,
    )


def _switched_off(name: str, options: Any) -> Any:
    return http_connection_manager_pb2.HttpFilter(name=name, typed_config=packed(options), disabled=True)


def _router() -> Any:
    return http_connection_manager_pb2.HttpFilter(
        name="envoy.filters.http.router",
        typed_config=packed(router_pb2.Router(dynamic_stats=boolean(False), suppress_envoy_headers=True)),
    )
