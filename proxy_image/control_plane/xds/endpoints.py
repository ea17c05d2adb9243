"""Endpoints of a service's cluster, grouped by availability zone."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import Any

from envoy.config.core.v3 import address_pb2, base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from grpc_lb_contract import Service, Target, TargetState


def endpoints(service: Service) -> Any:
    """All targets, draining ones too: they get no new call, and Envoy keeps the connections of the calls they have."""
    by_zone = groupby(sorted(service.targets, key=attrgetter("zone")), key=attrgetter("zone"))
    return endpoint_pb2.ClusterLoadAssignment(
        cluster_name=service.name,
        endpoints=[
            endpoint_components_pb2.LocalityLbEndpoints(
                locality=base_pb2.Locality(zone=zone),
                lb_endpoints=[_endpoint(target) for target in targets],
            )
            for zone, targets in by_zone
        ],
    )


def socket_address(ip: str, port: int) -> Any:
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=ip, port_value=port))


def _endpoint(target: Target) -> Any:
    status = health_check_pb2.DRAINING if target.state is TargetState.DRAINING else health_check_pb2.UNKNOWN
    return endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=socket_address(target.ip, target.port)),
        health_status=status,
    )
