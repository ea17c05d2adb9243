"""Envoy's routes: one virtual host for each host that a service asks for."""

from __future__ import annotations

from typing import Any

from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2

from grpc_lb_contract import Document
from proxy_image.control_plane.xds.host_routes import ALL, HostRoutes, Routed
from proxy_image.control_plane.xds.messages import boolean, duration, packed, uint32

# Only where the server cannot have seen the call (invariant 9):
# https://www.envoyproxy.io/docs/envoy/v1.39.0/configuration/http/http_filters/router_filter#x-envoy-retry-on
RETRY_ON = "connect-failure,refused-stream,reset-before-request"
RETRIES = 3
OTHER_HOST_ATTEMPTS = 5
RETRY_BACK_OFF_SECONDS = 0.01
LONGEST_RETRY_BACK_OFF_SECONDS = 0.1

# Envoy answers a gRPC call's 404 with status UNIMPLEMENTED and the body as its message.
NOT_FOUND = 404
NO_ROUTE = (
    "no service behind this balancer takes this call: check its host and gRPC service against the labels "
    "grpc-lb.hosts and grpc-lb.grpc-services"
)


def route_configuration(document: Document, name: str) -> Any:
    # A route is in many virtual hosts: it is made once.
    made: dict[Routed, Any] = {}
    return route_pb2.RouteConfiguration(
        name=name,
        virtual_hosts=[
            route_components_pb2.VirtualHost(
                name=host,
                domains=[host],
                routes=[made.get(routed) or made.setdefault(routed, _route(*routed)) for routed in routes]
                + [_no_route()],
                retry_policy=_retry_policy(),
            )
            for host, routes in HostRoutes(document)
        ],
        # Clients that use no resolver send "host:port" as :authority.
        ignore_port_in_host_matching=True,
        # The snapshot is consistent and clusters come first; a route is not refused for a cluster that is being made.
        validate_clusters=boolean(False),
    )


def _route(grpc_service: str, cluster: str) -> Any:
    prefix = "/" if grpc_service == ALL else f"/{grpc_service}/"
    return route_components_pb2.Route(
        match=route_components_pb2.RouteMatch(prefix=prefix),
        route=route_components_pb2.RouteAction(
            cluster=cluster,
            # The deadline is the caller's, from grpc-timeout, however long it is: 0 as its maximum is "as it stands".
            # https://www.envoyproxy.io/docs/envoy/v1.39.0/faq/configuration/timeouts
            timeout=duration(0),
            max_stream_duration=route_components_pb2.RouteAction.MaxStreamDuration(grpc_timeout_header_max=duration(0)),
        ),
    )


def _retry_policy() -> Any:
    policy = route_components_pb2.RetryPolicy
    return policy(
        retry_on=RETRY_ON,
        num_retries=uint32(RETRIES),
        retry_host_predicate=[
            policy.RetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts",
                typed_config=packed(previous_hosts_pb2.PreviousHostsPredicate()),
            )
        ],
        host_selection_retry_max_attempts=OTHER_HOST_ATTEMPTS,
        retry_back_off=policy.RetryBackOff(
            base_interval=duration(RETRY_BACK_OFF_SECONDS), max_interval=duration(LONGEST_RETRY_BACK_OFF_SECONDS)
        ),
    )


def _no_route() -> Any:
    return route_components_pb2.Route(
        match=route_components_pb2.RouteMatch(prefix="/"),
        direct_response=route_components_pb2.DirectResponseAction(status=NOT_FOUND, body={"inline_string": NO_ROUTE}),
    )
