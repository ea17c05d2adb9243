"""Envoy's clusters: one for each service, under the service's name."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, config_source_pb2, protocol_pb2, socket_option_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.v3 import percent_pb2

from grpc_lb_contract import Service
from proxy_image.control_plane.xds.envoy.cluster_policy import (
    circuit_breakers,
    health_checks,
    outlier_detection,
    set_balancing,
)
from proxy_image.control_plane.xds.envoy.http2 import to_targets
from proxy_image.control_plane.xds.envoy.mirror import MAX_COPY_SECONDS, copies_of
from proxy_image.control_plane.xds.envoy.tls import transport_socket
from proxy_image.control_plane.xds.messages import duration, packed, uint32
from proxy_image.metadata import DEFAULT_METADATA, MetadataLimits

CONNECT_TIMEOUT_SECONDS = 1.0

# A host that died without a word (a lost Fargate host answers nothing) is noticed by the kernel: by keepalive probes
# on a quiet connection, by unacknowledged data on a busy one. HTTP/2 PINGs would be seen by the server: gRPC servers
# allow one in 5 minutes without data and then close the connection and its streams with GOAWAY "too_many_pings" (gRFC
# A8, https://github.com/grpc/grpc/blob/master/doc/keepalive.md), so they are not sent.
TCP_KEEPALIVE_IDLE_SECONDS = 10
TCP_KEEPALIVE_INTERVAL_SECONDS = 5
TCP_KEEPALIVE_PROBES = 3
# The kernel also gives up a live peer that takes no data for this long, its window at zero (tcp(7)), such as a server
# that stands still under memory pressure. So it is a trade: a connection to a lost host hangs for up to 30 s, a quiet
# one too, as this time overrides the count of probes; and a server that pauses for less than that keeps its streams.
TCP_USER_TIMEOUT_SECONDS = 30


def ads_config_source() -> Any:
    # Wait for ever (default: 15 s, then go on with nothing): a listener or cluster that is not complete is not used.
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(),
        resource_api_version=config_source_pb2.ApiVersion.V3,
        initial_fetch_timeout=duration(0),
    )


def cluster_of_copies(
    service: Service, system_cas: Path | None = None, metadata: MetadataLimits = DEFAULT_METADATA
) -> Any:
    """The cluster by which a service gets copies of another one's calls."""
    return _cluster(copies_of(service.name), service, system_cas, metadata, duration(MAX_COPY_SECONDS))


def cluster(service: Service, system_cas: Path | None = None, metadata: MetadataLimits = DEFAULT_METADATA) -> Any:
    return _cluster(service.name, service, system_cas, metadata)


def _cluster(
    name: str, service: Service, system_cas: Path | None, metadata: MetadataLimits, max_call_time: Any = None
) -> Any:
    policy = service.policy
    message = cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=ads_config_source()),
        connect_timeout=duration(CONNECT_TIMEOUT_SECONDS),
        common_lb_config=cluster_pb2.Cluster.CommonLbConfig(
            # Never fall back to draining or ejected targets (default: once fewer than half are healthy).
            healthy_panic_threshold=percent_pb2.Percent(value=0),
            # A target's change of state is used at once (default: gathered for 1 s).
            update_merge_window=duration(0),
        ),
        circuit_breakers=circuit_breakers(policy.limits, policy.retry),
        outlier_detection=outlier_detection(policy.outlier_detection),
        health_checks=health_checks(policy.health_check),
        # A target that is gone from the document is gone, whatever its health check says.
        ignore_health_on_host_removal=policy.health_check.enabled,
        upstream_connection_options=cluster_pb2.UpstreamConnectionOptions(
            tcp_keepalive=address_pb2.TcpKeepalive(
                keepalive_time=uint32(TCP_KEEPALIVE_IDLE_SECONDS),
                keepalive_interval=uint32(TCP_KEEPALIVE_INTERVAL_SECONDS),
                keepalive_probes=uint32(TCP_KEEPALIVE_PROBES),
            )
        ),
        upstream_bind_config=_user_timeout(),
        transport_socket=transport_socket(policy.tls, system_cas),
    )
    set_balancing(message, policy.balancing)
    if service.is_weighed:
        message.common_lb_config.locality_weighted_lb_config.SetInParent()
    message.typed_extension_protocol_options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].CopyFrom(
        packed(
            http_protocol_options_pb2.HttpProtocolOptions(
                common_http_protocol_options=protocol_pb2.HttpProtocolOptions(
                    max_headers_count=uint32(metadata.entries),
                    max_response_headers_kb=uint32(metadata.kib),
                    max_stream_duration=max_call_time,
                ),
                explicit_http_config=http_protocol_options_pb2.HttpProtocolOptions.ExplicitHttpConfig(
                    http2_protocol_options=to_targets(metadata)
                ),
            )
        )
    )
    return message


def _user_timeout() -> Any:
    # Linux only. Envoy is on the machine of this control plane, so this Python's constant is right for it.
    name = getattr(socket, "TCP_USER_TIMEOUT", None)
    if name is None:
        return None
    return address_pb2.BindConfig(
        socket_options=[
            socket_option_pb2.SocketOption(
                description="TCP_USER_TIMEOUT in milliseconds",
                level=socket.IPPROTO_TCP,
                name=name,
                int_value=TCP_USER_TIMEOUT_SECONDS * 1000,
                state=socket_option_pb2.SocketOption.STATE_PREBIND,
            )
        ]
    )
