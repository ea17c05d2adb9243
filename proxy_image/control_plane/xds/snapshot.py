"""The immutable snapshot: every resource of every audience, made from one document, consistent or not made at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf import any_pb2

from proxy_image.control_plane.xds.messages import content_version, packed
from proxy_image.control_plane.xds.types import Audience, ResourceType


class InconsistentSnapshotError(ValueError):
    """Resources that name others which are not there, or that nothing names."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as it goes over the wire. Its version is its content, so equal content is never sent twice."""

    name: str
    version: str
    envelope: any_pb2.Any = field(compare=False, repr=False)

    @classmethod
    def of(cls, name: str, message: Any) -> Resource:
        envelope = packed(message)
        return cls(name, content_version(envelope), envelope)


@dataclass(frozen=True, slots=True)
class Resources:
    """What one audience may subscribe to."""

    by_type: Mapping[ResourceType, Mapping[str, Resource]]

    @classmethod
    def of(
        cls, *, clusters: Iterable[Any], endpoints: Iterable[Any], listeners: Iterable[Any], routes: Iterable[Any]
    ) -> Resources:
        """Raises `InconsistentSnapshotError`, with all that is wrong."""
        clusters, endpoints, listeners, routes = tuple(clusters), tuple(endpoints), tuple(listeners), tuple(routes)
        problems = [*inconsistencies(clusters, endpoints, listeners, routes)]
        if problems:
            raise InconsistentSnapshotError("; ".join(problems))
        return cls(
            MappingProxyType(
                {
                    ResourceType.CLUSTER: _named(clusters, "name"),
                    ResourceType.ENDPOINTS: _named(endpoints, "cluster_name"),
                    ResourceType.LISTENER: _named(listeners, "name"),
                    ResourceType.ROUTES: _named(routes, "name"),
                }
            )
        )

    def version(self, resource_type: ResourceType) -> str:
        return version_of(self.by_type[resource_type].values())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What all streams serve from, until the next one takes its place."""

    generation: str
    audiences: Mapping[Audience, Resources]


def version_of(resources: Iterable[Resource]) -> str:
    """One version for several resources, as state-of-the-world answers have it."""
    lines = "".join(f"{resource.name} {resource.version}\n" for resource in resources)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def inconsistencies(
    clusters: Iterable[Any], endpoints: Iterable[Any], listeners: Iterable[Any], routes: Iterable[Any]
) -> Iterator[str]:
    """A client waits without end for a resource that is named and not there: none may be missing, nor be left over."""
    have = {cluster.name for cluster in clusters}
    yield from _difference("endpoints", have, {assignment.cluster_name for assignment in endpoints})
    wanted = {name for listener in listeners for name in _route_names(listener)}
    yield from _difference("routes", wanted, {route.name for route in routes})
    for configuration in routes:
        for host in configuration.virtual_hosts:
            for route in host.routes:
                if route.HasField("route") and route.route.cluster not in have:
                    yield f"route {configuration.name} names cluster {route.route.cluster}, which is not there"


def _difference(what: str, wanted: set[str], there: set[str]) -> Iterator[str]:
    for name in sorted(wanted - there):
        yield f"{what} {name} are named and not there"
    for name in sorted(there - wanted):
        yield f"{what} {name} are there and nothing names them"


def _route_names(listener: Any) -> Iterator[str]:
    envelopes = [chain_filter.typed_config for chain in listener.filter_chains for chain_filter in chain.filters]
    if listener.HasField("api_listener"):
        envelopes.append(listener.api_listener.api_listener)
    for envelope in envelopes:
        manager = http_connection_manager_pb2.HttpConnectionManager()
        if envelope.Unpack(manager) and manager.HasField("rds"):
            yield manager.rds.route_config_name


def _named(messages: Iterable[Any], name_field: str) -> Mapping[str, Resource]:
    resources = {}
    for message in messages:
        name = getattr(message, name_field)
        if name in resources:
            raise InconsistentSnapshotError(f"{type(message).__name__} {name} is there twice")
        resources[name] = Resource.of(name, message)
    return MappingProxyType(dict(sorted(resources.items())))
