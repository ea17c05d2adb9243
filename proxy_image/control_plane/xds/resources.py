"""From the document to the snapshot. What did not change since the last document is not made again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from grpc_lb_contract import Document, Route, Service, TrafficPolicy, generation_of
from proxy_image.control_plane.xds.clusters import cluster
from proxy_image.control_plane.xds.endpoints import endpoints
from proxy_image.control_plane.xds.grpc_clients import grpc_messages
from proxy_image.control_plane.xds.listeners import CALLS, ConnectionTimes, Ports, listeners
from proxy_image.control_plane.xds.routes import route_configuration
from proxy_image.control_plane.xds.snapshot import Resource, Resources, Snapshot
from proxy_image.control_plane.xds.types import Audience, ResourceType
from proxy_image.telemetry import OFF, Telemetry

DEFAULT_TIMES = ConnectionTimes()

_RoutesKey = tuple[tuple[str, tuple[Route, ...], TrafficPolicy], ...]


@dataclass(frozen=True, slots=True)
class _Parts:
    """The resources that are of one service alone."""

    service: Service
    by_audience: Mapping[Audience, Mapping[ResourceType, Resource]]


def snapshot(
    document: Document,
    ports: Ports,
    times: ConnectionTimes = DEFAULT_TIMES,
    *,
    generation: str | None = None,
    own_zone: str = "",
    telemetry: Telemetry = OFF,
) -> Snapshot:
    """The one snapshot of a document, as `SnapshotMaker` makes it."""
    return SnapshotMaker(ports, times, own_zone=own_zone, telemetry=telemetry).make(document, generation)


class SnapshotMaker:
    """Makes one snapshot after the other, of one balancer. Remembers what the last one was made of, and no more.

    A fleet of 500 services is a third of a second's work for the control plane's one thread; a change is mostly of one.
    """

    def __init__(
        self,
        ports: Ports,
        times: ConnectionTimes = DEFAULT_TIMES,
        *,
        own_zone: str = "",
        telemetry: Telemetry = OFF,
    ) -> None:
        """`own_zone` is the balancer's availability zone, "" where unknown."""
        self._own_zone = own_zone
        self._listeners = tuple(map(Resource.of, listeners(ports, times, telemetry)))
        self._parts: Mapping[str, _Parts] = {}
        self._routes: tuple[_RoutesKey, Resource] | None = None

    def make(self, document: Document, generation: str | None = None) -> Snapshot:
        """Raises `InconsistentSnapshotError`: then whoever has a snapshot keeps it.

        `generation` names what the document is a part of; by default its own.
        """
        self._parts = {service.name: self._parts_of(service) for service in document.services}
        return Snapshot(
            generation_of(document) if generation is None else generation,
            MappingProxyType(
                {
                    Audience.ENVOY: Resources.of(
                        clusters=self._each(Audience.ENVOY, ResourceType.CLUSTER),
                        endpoints=self._each(Audience.ENVOY, ResourceType.ENDPOINTS),
                        listeners=self._listeners,
                        routes=(self._route_configuration(document),),
                    ),
                    Audience.GRPC: Resources.of(
                        clusters=self._each(Audience.GRPC, ResourceType.CLUSTER),
                        endpoints=self._each(Audience.GRPC, ResourceType.ENDPOINTS),
                        listeners=self._each(Audience.GRPC, ResourceType.LISTENER),
                        routes=self._each(Audience.GRPC, ResourceType.ROUTES),
                    ),
                }
            ),
        )

    def _each(self, audience: Audience, resource_type: ResourceType) -> Iterator[Resource]:
        return (parts.by_audience[audience][resource_type] for parts in self._parts.values())

    def _parts_of(self, service: Service) -> _Parts:
        known = self._parts.get(service.name)
        if known is not None and known.service == service:
            return known
        envoy = {ResourceType.CLUSTER: cluster(service), ResourceType.ENDPOINTS: endpoints(service, self._own_zone)}
        return _Parts(service, {Audience.ENVOY: _made(envoy), Audience.GRPC: _made(grpc_messages(service))})

    def _route_configuration(self, document: Document) -> Resource:
        """One for all services, of everything of theirs but their targets."""
        key = tuple((service.name, service.routes, service.policy) for service in document.services)
        if self._routes is None or self._routes[0] != key:
            self._routes = key, Resource.of(route_configuration(document, CALLS))
        return self._routes[1]


def _made(messages: Mapping[ResourceType, Any]) -> Mapping[ResourceType, Resource]:
    return {resource_type: Resource.of(message) for resource_type, message in messages.items()}
