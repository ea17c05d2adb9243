"""The immutable snapshot: every resource of every audience, made from one document, consistent or not made at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.service.discovery.v3 import discovery_pb2

from proxy_image.control_plane.xds.messages import content_version, packed
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType

if TYPE_CHECKING:
    from proxy_image.control_plane.xds.proxyless.client_kind import ClientKind
    from proxy_image.control_plane.xds.proxyless.client_resources import ClientResources


class InconsistentSnapshotError(ValueError):
    """Resources that name others which are not there, or that nothing names."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as it goes over the wire. Its version is its content, so equal content is never sent twice."""

    name: str
    version: str
    wire: bytes = field(compare=False, repr=False)
    """An entry of a DiscoveryResponse's `resources`: written once, for however many clients are sent it."""
    leads_to: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """What it names: a cluster its endpoints, a listener its routes, routes their clusters."""

    @classmethod
    def of(cls, message: Any) -> Resource:
        envelope = packed(message)
        wire = discovery_pb2.DiscoveryResponse(resources=[envelope]).SerializeToString()
        return cls(_name(message), content_version(envelope), wire, frozenset(_names_in(message)))

    @property
    def envelope(self) -> Any:
        """The resource in its `google.protobuf.Any`."""
        return discovery_pb2.DiscoveryResponse.FromString(self.wire).resources[0]


@dataclass(frozen=True, slots=True)
class Resources:
    """What one audience may subscribe to."""

    by_type: Mapping[ResourceType, Mapping[str, Resource]]

    @classmethod
    def of(
        cls,
        *,
        clusters: Iterable[Resource],
        endpoints: Iterable[Resource],
        listeners: Iterable[Resource],
        routes: Iterable[Resource],
    ) -> Resources:
        """Raises `InconsistentSnapshotError`, with all that is wrong."""
        resources = cls(
            MappingProxyType(
                {
                    ResourceType.CLUSTER: _by_name(ResourceType.CLUSTER, clusters),
                    ResourceType.ENDPOINTS: _by_name(ResourceType.ENDPOINTS, endpoints),
                    ResourceType.LISTENER: _by_name(ResourceType.LISTENER, listeners),
                    ResourceType.ROUTES: _by_name(ResourceType.ROUTES, routes),
                }
            )
        )
        problems = [*inconsistencies(resources)]
        if problems:
            raise InconsistentSnapshotError("; ".join(problems))
        return resources

    def version(self, resource_type: ResourceType) -> str:
        return version_of(self.by_type[resource_type].values())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What all streams serve from, until the next one takes its place."""

    generation: str
    audiences: Mapping[Audience, Resources]
    clients: ClientResources | None = field(default=None, compare=False, repr=False)
    """What gRPC clients are sent, each as far as it can follow. None: all of them as their audience."""

    def resources(self, audience: Audience, kind: ClientKind, zone: str) -> Resources:
        """For a client in an availability zone, "" where unknown."""
        if audience is Audience.ENVOY or self.clients is None:
            return self.audiences[audience]
        return self.clients.resources(kind, zone)


def version_of(resources: Iterable[Resource]) -> str:
    """One version for several resources, as state-of-the-world answers have it."""
    lines = "".join(f"{resource.name} {resource.version}\n" for resource in resources)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def inconsistencies(resources: Resources) -> Iterator[str]:
    """A client waits without end for a resource that is named and not there: none may be missing, nor be left over."""
    clusters, endpoints, listeners, routes = (resources.by_type[each] for each in ResourceType)
    yield from _difference("endpoints", _named_by(clusters), endpoints.keys())
    yield from _difference("routes", _named_by(listeners), routes.keys())
    for configuration in routes.values():
        for name in sorted(configuration.leads_to - clusters.keys()):
            yield f"route {configuration.name} names cluster {name}, which is not there"


def _named_by(resources: Mapping[str, Resource]) -> frozenset[str]:
    return frozenset().union(*(resource.leads_to for resource in resources.values()))


def _difference(what: str, wanted: Set[str], there: Set[str]) -> Iterator[str]:
    for name in sorted(wanted - there):
        yield f"{what} {name} are named and not there"
    for name in sorted(there - wanted):
        yield f"{what} {name} are there and nothing names them"


def _name(message: Any) -> str:
    return str(message.cluster_name if isinstance(message, endpoint_pb2.ClusterLoadAssignment) else message.name)


def _names_in(message: Any) -> Iterator[str]:
    if isinstance(message, cluster_pb2.Cluster):
        yield message.name
    elif isinstance(message, listener_pb2.Listener):
        yield from _route_names(message)
    elif isinstance(message, route_pb2.RouteConfiguration):
        for host in message.virtual_hosts:
            for route in host.routes:
                if route.HasField("route"):
                    yield route.route.cluster
                    # Envoy takes a route with copies to a cluster that is not there, and makes none.
                    yield from (copy.cluster for copy in route.route.request_mirror_policies)


def _route_names(listener: Any) -> Iterator[str]:
    envelopes = [chain_filter.typed_config for chain in listener.filter_chains for chain_filter in chain.filters]
    if listener.HasField("api_listener"):
        envelopes.append(listener.api_listener.api_listener)
    for envelope in envelopes:
        manager = http_connection_manager_pb2.HttpConnectionManager()
        if envelope.Unpack(manager) and manager.HasField("rds"):
            yield manager.rds.route_config_name


def _by_name(resource_type: ResourceType, resources: Iterable[Resource]) -> Mapping[str, Resource]:
    by_name: dict[str, Resource] = {}
    for resource in resources:
        if resource.name in by_name:
            raise InconsistentSnapshotError(f"{resource_type.name.lower()} {resource.name} is there twice")
        by_name[resource.name] = resource
    return MappingProxyType(dict(sorted(by_name.items())))
