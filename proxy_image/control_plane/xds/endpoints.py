"""Endpoints of a service's cluster, grouped by availability zone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any

from envoy.config.core.v3 import address_pb2, base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from grpc_lb_contract import Service, Target, TargetState
from proxy_image.control_plane.xds.messages import uint32

# A group keeps its share while any of its targets can be reached: Envoy's own 140 % would take some of it away, and
# send more to a canary, once fewer than 72 % can. With none, its share goes to the other groups.
OVERPROVISIONING_PERCENT = 100_000

# Where Envoy draws the line too: with fewer than 1 / 1.4 of a zone's targets healthy it begins to send calls away.
MIN_OF_A_ZONES_SHARE = 1 / 1.4


def endpoints(service: Service, own_zone: str = "") -> Any:
    """All targets, draining ones too: they get no new call, and Envoy keeps the connections of the calls they have.

    A locality is an availability zone, without weight; where groups are weighed it is a group with its weight. Where
    the service prefers `own_zone`, the others come after it, as it loses targets.
    """
    if service.is_weighed:
        return _weighed(service)
    preferred = own_zone if service.policy.balancing.prefer_zone and has_its_share(own_zone, service) else None
    return endpoint_pb2.ClusterLoadAssignment(
        cluster_name=service.name,
        endpoints=[
            endpoint_components_pb2.LocalityLbEndpoints(
                locality=base_pb2.Locality(zone=zone),
                lb_endpoints=[_endpoint(target) for target in targets],
                priority=0 if preferred in (None, zone) else 1,
            )
            for zone, targets in _by("zone", service)
        ],
    )


def has_its_share(zone: str, service: Service) -> bool:
    """Whether a zone can bear the calls that begin in it, taken that as many begin in each zone."""
    serving = Counter(target.zone for target in service.targets if target.state is TargetState.SERVING)
    return serving[zone] > 0 and serving[zone] >= MIN_OF_A_ZONES_SHARE * serving.total() / len(serving)


def _weighed(service: Service) -> Any:
    weights = {group.name: group.weight for group in service.groups}
    return endpoint_pb2.ClusterLoadAssignment(
        cluster_name=service.name,
        endpoints=[
            endpoint_components_pb2.LocalityLbEndpoints(
                locality=base_pb2.Locality(sub_zone=group),
                # Where no weighed target takes calls Envoy passes weights over. Draining targets it leaves alone.
                lb_endpoints=[_endpoint(target, draining=weights[group] == 0) for target in targets],
                load_balancing_weight=uint32(weights[group]) if weights[group] else None,
            )
            for group, targets in _by("group", service)
        ],
        policy=endpoint_pb2.ClusterLoadAssignment.Policy(overprovisioning_factor=uint32(OVERPROVISIONING_PERCENT)),
    )


def _by(key: str, service: Service) -> Iterator[tuple[str, Iterator[Target]]]:
    yield from groupby(sorted(service.targets, key=attrgetter(key)), key=attrgetter(key))


def socket_address(ip: str, port: int) -> Any:
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=ip, port_value=port))


def _endpoint(target: Target, *, draining: bool = False) -> Any:
    draining = draining or target.state is TargetState.DRAINING
    status = health_check_pb2.DRAINING if draining else health_check_pb2.UNKNOWN
    return endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=socket_address(target.ip, target.port)),
        health_status=status,
    )
