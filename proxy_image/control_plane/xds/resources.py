"""From the document to the snapshot."""

from __future__ import annotations

from types import MappingProxyType

from grpc_lb_contract import Document, generation_of
from proxy_image.control_plane.xds.clusters import cluster
from proxy_image.control_plane.xds.endpoints import endpoints
from proxy_image.control_plane.xds.grpc_clients import grpc_resources
from proxy_image.control_plane.xds.listeners import CALLS, ConnectionTimes, Ports, listeners
from proxy_image.control_plane.xds.routes import route_configuration
from proxy_image.control_plane.xds.snapshot import Resources, Snapshot
from proxy_image.control_plane.xds.types import Audience

DEFAULT_TIMES = ConnectionTimes()


def snapshot(
    document: Document,
    ports: Ports,
    times: ConnectionTimes = DEFAULT_TIMES,
    *,
    generation: str | None = None,
    own_zone: str = "",
) -> Snapshot:
    """Raises `InconsistentSnapshotError`: then whoever has a snapshot keeps it.

    `generation` names what the document is a part of; by default its own. `own_zone` is the balancer's availability
    zone, "" where unknown.
    """
    return Snapshot(
        generation_of(document) if generation is None else generation,
        MappingProxyType(
            {Audience.ENVOY: envoy_resources(document, ports, times, own_zone), Audience.GRPC: grpc_resources(document)}
        ),
    )


def envoy_resources(
    document: Document, ports: Ports, times: ConnectionTimes = DEFAULT_TIMES, own_zone: str = ""
) -> Resources:
    return Resources.of(
        clusters=(cluster(service) for service in document.services),
        endpoints=(endpoints(service, own_zone) for service in document.services),
        listeners=listeners(ports, times),
        routes=(route_configuration(document, CALLS),),
    )
