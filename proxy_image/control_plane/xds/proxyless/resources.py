"""Resources for gRPC clients without a proxy: `xds:///NAME` is the service NAME.

They hold only what every gRPC language knows (gRFC A27, A28): a client rejects what it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import config_source_pb2
from envoy.config.listener.v3 import api_listener_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

from grpc_lb_contract import Service
from proxy_image.control_plane.xds.endpoints import endpoints
from proxy_image.control_plane.xds.messages import duration, packed, uint32
from proxy_image.control_plane.xds.resource_types import ResourceType


def grpc_messages(service: Service) -> Mapping[ResourceType, Any]:
    return {
        ResourceType.CLUSTER: _cluster(service),
        ResourceType.ENDPOINTS: _endpoints(service),
        ResourceType.LISTENER: _listener(service),
        ResourceType.ROUTES: _routes(service),
    }


def _ads() -> Any:
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.ApiVersion.V3
    )


def _listener(service: Service) -> Any:
    manager = http_connection_manager_pb2.HttpConnectionManager(
        rds=http_connection_manager_pb2.Rds(config_source=_ads(), route_config_name=service.name),
        http_filters=[
            # The router must be the last filter (gRFC A39).
            http_connection_manager_pb2.HttpFilter(
                name="envoy.filters.http.router", typed_config=packed(router_pb2.Router())
            )
        ],
    )
    return listener_pb2.Listener(
        name=service.name, api_listener=api_listener_pb2.ApiListener(api_listener=packed(manager))
    )


def _routes(service: Service) -> Any:
    return route_pb2.RouteConfiguration(
        name=service.name,
        virtual_hosts=[
            route_components_pb2.VirtualHost(
                name=service.name,
                domains=["*"],
                routes=[
                    route_components_pb2.Route(
                        match=route_components_pb2.RouteMatch(prefix=""),
                        route=route_components_pb2.RouteAction(
                            cluster=service.name,
                            max_stream_duration=route_components_pb2.RouteAction.MaxStreamDuration(
                                max_stream_duration=duration(0)
                            ),
                        ),
                    )
                ],
            )
        ],
    )


def _cluster(service: Service) -> Any:
    return cluster_pb2.Cluster(
        name=service.name,
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=_ads()),
        lb_policy=cluster_pb2.Cluster.ROUND_ROBIN,
    )


def _endpoints(service: Service) -> Any:
    # gRPC skips a locality without weight and picks localities by weight (gRFC A27), so each weighs as much as it has
    # targets for new calls, or, where groups are weighed, what its group does. Draining targets are left out by the
    # clients themselves: only HEALTHY and UNKNOWN are used.
    message = endpoints(service)
    for locality in message.endpoints:
        serving = sum(endpoint.health_status == 0 for endpoint in locality.lb_endpoints)
        if not serving:
            locality.ClearField("load_balancing_weight")
        elif not service.is_weighed:
            locality.load_balancing_weight.CopyFrom(uint32(serving))
    return message
