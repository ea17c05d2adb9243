"""From the document to the snapshot. What did not change since the last document is not made again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from grpc_lb_contract import Document, Route, Service, TrafficPolicy, generation_of
from proxy_image.control_plane.xds.capabilities import LeftOut, feasible
from proxy_image.control_plane.xds.endpoints import endpoints
from proxy_image.control_plane.xds.envoy.clusters import cluster, cluster_of_copies
from proxy_image.control_plane.xds.envoy.listeners import CALLS, ConnectionTimes, Ports, listeners
from proxy_image.control_plane.xds.envoy.mirror import copies_of, mirrored
from proxy_image.control_plane.xds.envoy.routes import route_configuration
from proxy_image.control_plane.xds.host_routes import HostRoutes, Shortened
from proxy_image.control_plane.xds.proxyless.client_kind import ClientKind
from proxy_image.control_plane.xds.proxyless.client_resources import ClientResources
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType
from proxy_image.control_plane.xds.snapshot import Resource, Resources, Snapshot
from proxy_image.metadata import DEFAULT_METADATA, MetadataLimits
from proxy_image.telemetry import OFF, Telemetry

DEFAULT_TIMES = ConnectionTimes()

_RoutesKey = tuple[tuple[str, tuple[Route, ...], TrafficPolicy], ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What of a document could not be made as it asks: hosts without copies of routes, settings that are left out."""

    shortened: Shortened | None = None
    left_out: frozenset[LeftOut] = frozenset()


@dataclass(frozen=True, slots=True)
class _Parts:
    """The resources that are of one service alone."""

    made_of: tuple[Service, Service, Service | None]
    envoy: Mapping[ResourceType, tuple[Resource, ...]]


def snapshot(
    document: Document,
    ports: Ports,
    times: ConnectionTimes = DEFAULT_TIMES,
    *,
    generation: str | None = None,
    own_zone: str = "",
    telemetry: Telemetry = OFF,
    system_cas: Path | None = None,
    metadata: MetadataLimits = DEFAULT_METADATA,
) -> Snapshot:
    """The one snapshot of a document, as `SnapshotMaker` makes it."""
    maker = SnapshotMaker(
        ports, times, own_zone=own_zone, telemetry=telemetry, system_cas=system_cas, metadata=metadata
    )
    return maker.make(document, generation)


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
        system_cas: Path | None = None,
        metadata: MetadataLimits = DEFAULT_METADATA,
        has_envoy: bool = True,
    ) -> None:
        """`own_zone` is the balancer's availability zone, "" where unknown; `system_cas` the file with the CAs that
        targets' certificates may be held to. Without Envoy, nothing is made for it."""
        self._has_envoy = has_envoy
        self._own_zone = own_zone
        self._system_cas = system_cas
        self._metadata = metadata
        self._listeners = tuple(map(Resource.of, listeners(ports, times, telemetry, metadata)))
        self._parts: Mapping[str, _Parts] = {}
        self._routes: tuple[_RoutesKey, Resource] | None = None
        self.findings = Findings()
        """About the last document."""
        self._clients: ClientResources | None = None

    def make(self, document: Document, generation: str | None = None) -> Snapshot:
        """Raises `InconsistentSnapshotError`: then whoever has a snapshot keeps it.

        `generation` names what the document is a part of; by default its own. What the document asks for and cannot be
        done is left out: `findings` says what.
        """
        self._clients = ClientResources(document, self._clients)
        audiences = {Audience.GRPC: self._clients.resources(ClientKind())}
        if self._has_envoy:
            audiences[Audience.ENVOY] = self._for_envoy(document)
        return Snapshot(
            generation_of(document) if generation is None else generation, MappingProxyType(audiences), self._clients
        )

    def _for_envoy(self, document: Document) -> Resources:
        applicable, left_out = feasible(document, self._system_cas)
        copied_to = {service.name: service for service in mirrored(applicable)}
        self._parts = {
            service.name: self._parts_of(service, treated, copied_to.get(service.name))
            for service, treated in zip(document.services, applicable.services, strict=True)
        }
        routes = self._route_configuration(applicable)
        self.findings = replace(self.findings, left_out=frozenset(left_out))
        return Resources.of(
            clusters=self._each(ResourceType.CLUSTER),
            endpoints=self._each(ResourceType.ENDPOINTS),
            listeners=self._listeners,
            routes=(routes,),
        )

    def _each(self, resource_type: ResourceType) -> Iterator[Resource]:
        for parts in self._parts.values():
            yield from parts.envoy[resource_type]

    def _parts_of(self, service: Service, treated: Service, copied_to: Service | None) -> _Parts:
        """Envoy gets a service as it can be treated, and again where it gets copies of calls."""
        made_of = service, treated, copied_to
        known = self._parts.get(service.name)
        if known is not None and known.made_of == made_of:
            return known
        clusters = [cluster(treated, self._system_cas, self._metadata)]
        assignments = [endpoints(treated, self._own_zone)]
        if copied_to is not None:
            clusters.append(cluster_of_copies(copied_to, self._system_cas, self._metadata))
            assignments.append(endpoints(copied_to, self._own_zone))
            assignments[-1].cluster_name = copies_of(copied_to.name)
        return _Parts(made_of, _made({ResourceType.CLUSTER: clusters, ResourceType.ENDPOINTS: assignments}))

    def _route_configuration(self, document: Document) -> Resource:
        """One for all services, of everything of theirs but their targets."""
        key = tuple((service.name, service.routes, service.policy) for service in document.services)
        if self._routes is None or self._routes[0] != key:
            host_routes = HostRoutes(document)
            self._routes = key, Resource.of(route_configuration(document, CALLS, host_routes))
            self.findings = replace(self.findings, shortened=host_routes.shortened)
        return self._routes[1]


def _made(messages: Mapping[ResourceType, Iterable[Any]]) -> Mapping[ResourceType, tuple[Resource, ...]]:
    return {resource_type: tuple(map(Resource.of, of_type)) for resource_type, of_type in messages.items()}
