"""Envoy's clusters: one for each service, under the service's name."""

from __future__ import annotations

import socket
from typing import Any

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import address_pb2, config_source_pb2, protocol_pb2, socket_option_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.v3 import percent_pb2

from grpc_lb_contract import Service
from proxy_image.control_plane.xds.messages import boolean, duration, packed, uint32

CONNECT_TIMEOUT_SECONDS = 1.0

# Envoy's own limit of 1,024 requests is met by a few busy streaming clients (envoyproxy/envoy#9250). A limit that
# protects a service is the owner's to choose; ours is beyond what one balancer can hold.
UNREACHED = 1_000_000

# Retries are made only for calls that have reached no server, so they add no load to the servers: they may be as many
# as the calls under way, and no fewer than this where there are few calls.
RETRY_BUDGET_PERCENT = 100.0
LEAST_CONCURRENT_RETRIES = 100

# A task that cannot be reached is left alone for 1 s, then 2 s, up to 10 s, so that one that is back serves soon.
FAILURES_TO_REACH = 2
EJECTION_SECONDS = 1.0
LONGEST_EJECTION_SECONDS = 10.0
MOST_EJECTED_PERCENT = 50

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


def cluster(service: Service) -> Any:
    message = cluster_pb2.Cluster(
        name=service.name,
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=ads_config_source()),
        connect_timeout=duration(CONNECT_TIMEOUT_SECONDS),
        lb_policy=cluster_pb2.Cluster.ROUND_ROBIN,
        common_lb_config=cluster_pb2.Cluster.CommonLbConfig(
            # Never fall back to draining or ejected targets (default: once fewer than half are healthy).
            healthy_panic_threshold=percent_pb2.Percent(value=0),
            # A target's change of state is used at once (default: gathered for 1 s).
            update_merge_window=duration(0),
        ),
        circuit_breakers=_circuit_breakers(),
        outlier_detection=_outlier_detection(),
        upstream_connection_options=cluster_pb2.UpstreamConnectionOptions(
            tcp_keepalive=address_pb2.TcpKeepalive(
                keepalive_time=uint32(TCP_KEEPALIVE_IDLE_SECONDS),
                keepalive_interval=uint32(TCP_KEEPALIVE_INTERVAL_SECONDS),
                keepalive_probes=uint32(TCP_KEEPALIVE_PROBES),
            )
        ),
        upstream_bind_config=_user_timeout(),
    )
    message.typed_extension_protocol_options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].CopyFrom(
        packed(
            http_protocol_options_pb2.HttpProtocolOptions(
                explicit_http_config=http_protocol_options_pb2.HttpProtocolOptions.ExplicitHttpConfig(
                    http2_protocol_options=protocol_pb2.Http2ProtocolOptions()
                )
            )
        )
    )
    return message


def _circuit_breakers() -> Any:
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[
            thresholds(
                max_connections=uint32(UNREACHED),
                max_pending_requests=uint32(UNREACHED),
                max_requests=uint32(UNREACHED),
                retry_budget=thresholds.RetryBudget(
                    budget_percent=percent_pb2.Percent(value=RETRY_BUDGET_PERCENT),
                    min_retry_concurrency=uint32(LEAST_CONCURRENT_RETRIES),
                ),
            )
        ]
    )


def _outlier_detection() -> Any:
    # By failures to reach a host alone. Envoy maps gRPC statuses to HTTP's, where UNIMPLEMENTED counts as 501, so
    # that a client that calls a method which is not there would eject healthy tasks (envoy#8228).
    return outlier_detection_pb2.OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=uint32(FAILURES_TO_REACH),
        enforcing_consecutive_local_origin_failure=uint32(100),
        enforcing_local_origin_success_rate=uint32(0),
        enforcing_consecutive_5xx=uint32(0),
        enforcing_consecutive_gateway_failure=uint32(0),
        enforcing_success_rate=uint32(0),
        interval=duration(EJECTION_SECONDS),
        base_ejection_time=duration(EJECTION_SECONDS),
        max_ejection_time=duration(LONGEST_EJECTION_SECONDS),
        max_ejection_percent=uint32(MOST_EJECTED_PERCENT),
        always_eject_one_host=boolean(False),
    )


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
