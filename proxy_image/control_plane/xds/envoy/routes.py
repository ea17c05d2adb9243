"""Envoy's routes: one virtual host for each host that a service asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from envoy.config.route.v3 import route_components_pb2, route_pb2

from grpc_lb_contract import Condition, Document, Match, Route, Service, TrafficPolicy
from grpc_lb_contract.names import ALL
from grpc_lb_contract.policy.traffic_policy import DEFAULTS
from proxy_image.control_plane.xds.envoy.deadlines import Timed, TimedByEnvoy, timed
from proxy_image.control_plane.xds.envoy.grpc_web import matches_grpc, matches_preflights, preflight_filters, refused
from proxy_image.control_plane.xds.envoy.mirror import mirror_policies
from proxy_image.control_plane.xds.envoy.route_policy import (
    MAX_RETRIED_BYTES,
    filters,
    hash_policies,
    own_retry_policy,
    removed_headers,
    retry_policy,
)
from proxy_image.control_plane.xds.host_routes import HostRoutes, Routed
from proxy_image.control_plane.xds.messages import boolean, duration, uint64

RouteMatch = route_components_pb2.RouteMatch

# Envoy answers a gRPC call's 404 with status UNIMPLEMENTED and the body as its message.
NOT_FOUND = 404
NO_ROUTE = (
    "no service behind this balancer takes this call: check its host, gRPC service, method and metadata against the "
    "labels grpc-lb.hosts, grpc-lb.grpc-services, grpc-lb.methods and grpc-lb.metadata, and for gRPC-Web grpc-lb.web"
)


def route_configuration(document: Document, name: str, host_routes: HostRoutes | None = None) -> Any:
    """`host_routes` are those of the document, for a caller that has worked them out already."""
    made, retried, no_route = _Made(document), retry_policy(DEFAULTS.retry), _no_route()
    return route_pb2.RouteConfiguration(
        name=name,
        virtual_hosts=[
            route_components_pb2.VirtualHost(
                name=host,
                domains=_domains(host),
                routes=[*made.of(tuple(routes)), no_route],
                retry_policy=retried,
                request_body_buffer_limit=uint64(MAX_RETRIED_BYTES),
            )
            for host, routes in (HostRoutes(document) if host_routes is None else host_routes)
        ],
        # Clients that use no resolver send "host:port" as :authority.
        ignore_port_in_host_matching=True,
        # The snapshot is consistent and clusters come first; a route is not refused for a cluster that is being made.
        validate_clusters=boolean(False),
    )


def _domains(host: str) -> list[str]:
    """A name may have a dot at its end, which says that it is a whole one: https://www.rfc-editor.org/rfc/rfc1034#section-3.1

    None of a wildcard, which a pattern of Traefik's labels may have become: that takes no such name.
    """
    return [host] if "*" in host else [host, f"{host}."]


class _Made:
    """Envoy's routes of each route of the document. One is in many virtual hosts: it is made once."""

    def __init__(self, document: Document) -> None:
        self._services = {service.name: service for service in document.services}
        self._made: dict[Routed, tuple[Any, ...]] = {}
        self._beside: dict[Routed, Any] = {}

    def of(self, routes: Sequence[Routed]) -> Iterator[Any]:
        """Where a service takes gRPC-Web, each route is followed by one for the requests that are no gRPC call of its
        own: no other service behind the same host is to take them. So there are at most twice as many.
        """
        is_web = any(self._services[routed.service].policy.web.enabled for routed in routes)
        for routed in routes:
            yield from self._made.get(routed) or self._made.setdefault(routed, _routes(routed, self._service(routed)))
            if is_web:
                yield self._beside.get(routed) or self._beside.setdefault(
                    routed, _beside(routed.route, self._service(routed))
                )

    def _service(self, routed: Routed) -> Service:
        return self._services[routed.service]


def _beside(route: Route, service: Service) -> Any:
    web = service.policy.web
    if not web.enabled:
        return refused(_match(route))
    return route_components_pb2.Route(
        match=matches_preflights(_match(route)),
        # The filter answers in its place.
        route=route_components_pb2.RouteAction(cluster=service.name),
        typed_per_filter_config=preflight_filters(web),
    )


def _routes(routed: Routed, service: Service) -> tuple[Any, ...]:
    # What cannot stand beside the service's policy is told where the labels are read.
    policy, _ = routed.route.overrides.over(service.policy)
    return tuple(_route(routed.route, service.name, policy, each) for each in _timed(policy))


def _timed(policy: TrafficPolicy) -> tuple[Timed | TimedByEnvoy, ...]:
    # Each route has a bucket of its own: to count all of a rate-limited service's calls together, it has one route.
    if policy.rate_limit.calls_per_second is not None:
        return (TimedByEnvoy(policy.deadline),)
    return timed(policy.deadline)


def _route(route: Route, cluster: str, policy: TrafficPolicy, timed: Timed | TimedByEnvoy) -> Any:
    match = matches_grpc(_match(route), policy.web)
    if timed.condition is not None:
        match.headers.append(timed.condition)
    return route_components_pb2.Route(
        match=match,
        route=route_components_pb2.RouteAction(
            cluster=cluster,
            # Envoy's own limit of 15 s is off: time limits are by max_stream_duration alone.
            timeout=duration(0),
            max_stream_duration=timed.max_stream_duration,
            hash_policy=hash_policies(policy.balancing),
            retry_policy=own_retry_policy(policy),
            request_mirror_policies=mirror_policies(policy.mirror),
        ),
        request_headers_to_add=timed.added_headers,
        request_headers_to_remove=removed_headers(policy.forwarded_headers),
        typed_per_filter_config=filters(policy),
    )


def _match(route: Route) -> Any:
    headers = map(_fits, route.metadata)
    if route.method != ALL:
        return RouteMatch(path=f"/{route.grpc_service}/{route.method}", headers=headers)
    prefix = "/" if route.grpc_service == ALL else f"/{route.grpc_service}/"
    return RouteMatch(prefix=prefix, headers=headers)


def _fits(condition: Condition) -> Any:
    matcher = route_components_pb2.HeaderMatcher(name=condition.key)
    match condition.match:
        case Match.EXACT:
            matcher.string_match.exact = condition.value
        case Match.NOT_EXACT:
            matcher.string_match.exact = condition.value
            matcher.invert_match = True
            # Without it a call that has not the key would not fit: the negation comes after the look-up.
            matcher.treat_missing_header_as_empty = True
        case Match.PREFIX:
            matcher.string_match.prefix = condition.value
        case Match.PRESENT:
            matcher.present_match = True
        case Match.ABSENT:
            matcher.present_match = False
    return matcher


def _no_route() -> Any:
    return route_components_pb2.Route(
        match=RouteMatch(prefix="/"),
        direct_response=route_components_pb2.DirectResponseAction(status=NOT_FOUND, body={"inline_string": NO_ROUTE}),
    )
