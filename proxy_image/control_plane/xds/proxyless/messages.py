"""The resources of gRPC clients: one cluster, endpoints, listener and routes for each service."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2, config_source_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.listener.v3 import api_listener_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.type.v3 import percent_pb2

from grpc_lb_contract import Condition, Match, Service, Target, TargetState
from grpc_lb_contract.names import ALL
from proxy_image.control_plane.xds.endpoints import has_its_share, socket_address
from proxy_image.control_plane.xds.envoy.route_policy import FAULT_FILTER
from proxy_image.control_plane.xds.messages import packed, uint32
from proxy_image.control_plane.xds.proxyless import policy as policies
from proxy_image.control_plane.xds.proxyless.client_kind import Quoted
from proxy_image.control_plane.xds.proxyless.names import Name
from proxy_image.control_plane.xds.proxyless.policy import Features
from proxy_image.control_plane.xds.proxyless.route_tables import Entry, RouteTable
from proxy_image.control_plane.xds.resource_types import ResourceType

# Nothing is sent there: all calls are dropped before.
NOWHERE = "127.0.0.1", 1


def listener(full_name: str, name: Name, table: RouteTable) -> Any:
    manager = http_connection_manager_pb2.HttpConnectionManager
    return _listener(
        full_name,
        manager(
            rds=http_connection_manager_pb2.Rds(
                config_source=_ads(), route_config_name=name.of(ResourceType.ROUTES, table.name)
            ),
            http_filters=[*_fault_filters(table), _router()],
        ),
    )


def unknown_listener(full_name: str, cluster_name: str) -> Any:
    """A listener by which each call fails at once: a client waits 15 s for one that is not there, and Node for ever."""
    host = route_components_pb2.VirtualHost(
        name="unknown",
        domains=["*"],
        routes=[
            route_components_pb2.Route(
                match=route_components_pb2.RouteMatch(prefix=""),
                route=route_components_pb2.RouteAction(cluster=cluster_name),
            )
        ],
    )
    return _listener(
        full_name,
        http_connection_manager_pb2.HttpConnectionManager(
            route_config=route_pb2.RouteConfiguration(name="unknown", virtual_hosts=[host]), http_filters=[_router()]
        ),
    )


def routes(full_name: str, name: Name, table: RouteTable, features: Features) -> Any:
    return route_pb2.RouteConfiguration(
        name=full_name,
        virtual_hosts=[
            route_components_pb2.VirtualHost(
                name=table.name, domains=["*"], routes=[_route(entry, name, features) for entry in table.entries]
            )
        ],
    )


def cluster(full_name: str, name: Name, service: Service | None, features: Features) -> Any:
    """`service` is None for what stands for an unknown name."""
    message = cluster_pb2.Cluster(
        name=full_name,
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(
            eds_config=_ads(),
            service_name="" if name.authority is None else name.of(ResourceType.ENDPOINTS, name.plain),
        ),
    )
    if service is not None:
        # The client tells of its calls on the server that it has this from (LRS).
        message.lrs_server.self.SetInParent()
        message.circuit_breakers.CopyFrom(policies.circuit_breakers(service.policy.limits))
        policies.set_balancing(message, service.policy.balancing, features)
        outliers = policies.outlier_detection(service.policy.outlier_detection, features)
        if outliers is not None:
            message.outlier_detection.CopyFrom(outliers)
    return message


def endpoints(full_name: str, service: Service, zone: str) -> Any:
    """The targets for new calls: a client lets those that are left out finish the calls that they have.

    All are in one locality, as clients choose the locality of a call by chance and the target within it in turn. Where
    groups are weighed, each group is one; where the service prefers a client's zone, that comes before the others.
    """
    serving = [each for each in service.targets if each.state is TargetState.SERVING]
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=full_name)
    if not serving:
        return message
    if service.is_weighed:
        weights = {group.name: group.weight for group in service.groups}
        for group, targets in groupby(sorted(serving, key=attrgetter("group")), key=attrgetter("group")):
            if weights[group]:
                message.endpoints.append(_locality(_addresses(targets), sub_zone=group, weight=weights[group]))
    elif service.policy.balancing.prefer_zone and zone and has_its_share(zone, service):
        message.endpoints.append(_locality(_addresses(each for each in serving if each.zone == zone), zone=zone))
        others = [each for each in serving if each.zone != zone]
        if others:
            message.endpoints.append(_locality(_addresses(others), sub_zone="other zones", priority=1))
    else:
        message.endpoints.append(_locality(_addresses(serving)))
    return message


def _addresses(targets: Iterable[Target]) -> Iterable[tuple[str, int]]:
    return ((target.ip, target.port) for target in targets)


def unknown_endpoints(full_name: str, sentence: str, quoted: Quoted) -> Any:
    """No targets, or such that no call reaches one. Dropped calls fail also where they would wait (`wait_for_ready`).

    A sentence as an address is no host name: Go's resolver says so, and asks no DNS server.
    """
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=full_name)
    if quoted is Quoted.ADDRESS:
        message.endpoints.append(_locality([(sentence, NOWHERE[1])]))
    if quoted is Quoted.DROPS:
        message.endpoints.append(_locality([NOWHERE]))
        overload = endpoint_pb2.ClusterLoadAssignment.Policy.DropOverload(
            category=sentence, drop_percentage=percent_pb2.FractionalPercent(numerator=100)
        )
        message.policy.drop_overloads.append(overload)
    return message


def _locality(
    addresses: Iterable[tuple[str, int]], *, zone: str = "", sub_zone: str = "", weight: int = 1, priority: int = 0
) -> Any:
    return endpoint_components_pb2.LocalityLbEndpoints(
        locality=base_pb2.Locality(zone=zone, sub_zone=sub_zone),
        lb_endpoints=[
            endpoint_components_pb2.LbEndpoint(
                endpoint=endpoint_components_pb2.Endpoint(address=socket_address(ip, port))
            )
            for ip, port in addresses
        ],
        # gRPC skips a locality without weight (gRFC A27).
        load_balancing_weight=uint32(weight),
        priority=priority,
    )


def _ads() -> Any:
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.ApiVersion.V3
    )


def _listener(name: str, manager: Any) -> Any:
    return listener_pb2.Listener(name=name, api_listener=api_listener_pb2.ApiListener(api_listener=packed(manager)))


def _router() -> Any:
    # It must be the last filter (gRFC A39).
    return http_connection_manager_pb2.HttpFilter(
        name="envoy.filters.http.router", typed_config=packed(router_pb2.Router())
    )


def _fault_filters(table: RouteTable) -> Iterable[Any]:
    if table.has_faults:
        # What a route says takes its place. A client that knows no faults passes over it (gRFC A39).
        yield http_connection_manager_pb2.HttpFilter(
            name=FAULT_FILTER, typed_config=packed(fault_pb2.HTTPFault()), is_optional=True
        )


def _route(entry: Entry, name: Name, features: Features) -> Any:
    return route_components_pb2.Route(
        match=_match(entry),
        route=route_components_pb2.RouteAction(
            cluster=name.of(ResourceType.CLUSTER, entry.service),
            max_stream_duration=policies.max_stream_duration(entry.policy.deadline, features),
            hash_policy=policies.hash_policies(entry.policy.balancing, features),
            retry_policy=policies.retry_policy(entry.policy.retry, features),
        ),
        typed_per_filter_config=policies.fault_filters(entry.policy.fault, features),
    )


def _match(entry: Entry) -> Any:
    headers = map(_fits, entry.metadata)
    if entry.method != ALL:
        return route_components_pb2.RouteMatch(path=f"/{entry.grpc_service}/{entry.method}", headers=headers)
    prefix = "" if entry.grpc_service == ALL else f"/{entry.grpc_service}/"
    return route_components_pb2.RouteMatch(prefix=prefix, headers=headers)


def _fits(condition: Condition) -> Any:
    # By the fields of old: `string_match` came later (gRFC A63), and a client without it would reject the routes.
    matcher = route_components_pb2.HeaderMatcher(name=condition.key)
    match condition.match:
        case Match.EXACT:
            matcher.exact_match = condition.value
        case Match.NOT_EXACT:
            matcher.exact_match = condition.value
            matcher.invert_match = True
        case Match.PREFIX:
            matcher.prefix_match = condition.value
        case Match.PRESENT:
            matcher.present_match = True
        case Match.ABSENT:
            matcher.present_match = True
            matcher.invert_match = True
    return matcher
