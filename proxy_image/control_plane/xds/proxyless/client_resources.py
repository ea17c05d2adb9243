"""The resources of one document for each kind of client, made when a client asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from grpc_lb_contract import Document
from proxy_image.control_plane.xds.proxyless import messages, names
from proxy_image.control_plane.xds.proxyless.client_kind import ClientKind, Feature, Quoted
from proxy_image.control_plane.xds.proxyless.names import Name, read_name
from proxy_image.control_plane.xds.proxyless.route_tables import RouteTables
from proxy_image.control_plane.xds.proxyless.unsupported_settings import Unfollowed, unfollowed, unfollowed_of_routes
from proxy_image.control_plane.xds.resource_types import ResourceType
from proxy_image.control_plane.xds.snapshot import Resource, Resources

# Names are what strangers ask for: those beyond this, and longer ones, are made again each time.
MAX_REMEMBERED = 10_000
MAX_REMEMBERED_LENGTH = 512

_Remembered = dict[str, tuple[object, Resource]]
Called = tuple[frozenset[str], frozenset[Unfollowed]]


@dataclass(frozen=True, slots=True)
class ClientProfile:
    """All that decides what a client is sent. There are few: what languages can follow, times the zones of targets."""

    features: frozenset[Feature] = frozenset()
    zone: str = ""
    quoted: Quoted = Quoted.CLUSTER


class ClientResources:
    """Of one document. What the one before it made of the same content is taken over."""

    def __init__(self, document: Document, previous: ClientResources | None = None) -> None:
        self._tables = RouteTables(document)
        self._zones = frozenset(target.zone for service in document.services for target in service.targets)
        self._by_profile: dict[ClientProfile, Resources] = {}
        self._called: dict[tuple[ClientKind, frozenset[str]], Called] = {}
        self._before: Mapping[ClientProfile, Mapping[ResourceType, _Remembered]] = (
            {} if previous is None else previous.remembered
        )

    @property
    def remembered(self) -> Mapping[ClientProfile, Mapping[ResourceType, _Remembered]]:
        return {
            profile: {each: table.remembered for each, table in resources.by_type.items() if isinstance(table, _Table)}
            for profile, resources in self._by_profile.items()
        }

    @property
    def tables(self) -> RouteTables:
        return self._tables

    def resources(self, client: ClientKind, zone: str = "") -> Resources:
        """What such a client may subscribe to: services and hosts, and any other name as one that is unknown."""
        profile = ClientProfile(client.features, self.known_zone(zone), client.quoted)
        made = self._by_profile.get(profile)
        if made is None:
            made = self._by_profile[profile] = self._made(profile)
        return made

    def known_zone(self, zone: str) -> str:
        """ "" for a zone that no target is in."""
        return zone if zone in self._zones else ""

    def called(self, kind: ClientKind, clusters: frozenset[str]) -> Called:
        """The services that a client of this kind has clusters of, and what of their policies it cannot follow."""
        found = self._called.get((kind, clusters))
        if found is None:
            found = self._found_called(kind, clusters)
            if len(self._called) < MAX_REMEMBERED and sum(map(len, clusters)) <= MAX_REMEMBERED_LENGTH:
                self._called[kind, clusters] = found
        return found

    def _found_called(self, kind: ClientKind, clusters: Iterable[str]) -> Called:
        names = (read_name(ResourceType.CLUSTER, each) for each in clusters)
        services = [self._tables.services[name.plain] for name in names if name and name.plain in self._tables.services]
        not_followed = frozenset(
            each
            for service in services
            for each in (*unfollowed(service.name, service.policy, kind), *unfollowed_of_routes(service, kind))
        )
        return frozenset(service.name for service in services), not_followed

    def _made(self, profile: ClientProfile) -> Resources:
        before = self._before.get(profile, {})
        makers = _Makers(self._tables, profile)
        by_maker = {
            ResourceType.CLUSTER: makers.cluster,
            ResourceType.ENDPOINTS: makers.endpoints,
            ResourceType.LISTENER: makers.listener,
            ResourceType.ROUTES: makers.routes,
        }
        return Resources(
            MappingProxyType(
                {
                    each: _Table(each, self._tables.services, maker, before.get(each, {}))
                    for each, maker in by_maker.items()
                }
            )
        )


_Made = tuple[object, Callable[[], Any]]
"""What a resource is made of, and how: of equal content an equal resource."""


class _Table(Mapping[str, Resource]):
    """Resources of one type by name. It lists the services; other names that clients may ask for are found too."""

    def __init__(
        self,
        resource_type: ResourceType,
        listed: Mapping[str, object],
        maker: Callable[[str, Name], _Made | None],
        before: _Remembered,
    ) -> None:
        self._type = resource_type
        self._listed = listed
        self._maker = maker
        self._before = before
        self.remembered: _Remembered = {}

    def __getitem__(self, full_name: str) -> Resource:
        found = self.remembered.get(full_name)
        if found is not None:
            return found[1]
        name = read_name(self._type, full_name)
        made = None if name is None else self._maker(full_name, name)
        if made is None:
            raise KeyError(full_name)
        made_of, make = made
        before = self._before.get(full_name)
        resource = before[1] if before is not None and before[0] == made_of else Resource.of(make())
        if len(self.remembered) < MAX_REMEMBERED and len(full_name) <= MAX_REMEMBERED_LENGTH:
            self.remembered[full_name] = made_of, resource
        return resource

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


class _Makers:
    def __init__(self, tables: RouteTables, profile: ClientProfile) -> None:
        self._tables = tables
        self._profile = profile

    def listener(self, full_name: str, name: Name) -> _Made | None:
        found = self._called(name.plain)
        if found is None:
            sentence = names.unknown(name.plain, self._tables.services, self._tables.hosts)
            return sentence, lambda: messages.unknown_listener(full_name, name.of(ResourceType.CLUSTER, sentence))
        table = found
        return (table.name, table.has_faults), lambda: messages.listener(full_name, name, table)

    def routes(self, full_name: str, name: Name) -> _Made | None:
        table = self._called(name.plain)
        if table is None:
            return None
        return table, lambda: messages.routes(full_name, name, table, self._profile.features)

    def cluster(self, full_name: str, name: Name) -> _Made | None:
        service = self._tables.services.get(name.plain)
        if service is None and not names.is_unknown(name.plain):
            return None
        made_of = None if service is None else service.policy
        return made_of, lambda: messages.cluster(full_name, name, service, self._profile.features)

    def endpoints(self, full_name: str, name: Name) -> _Made | None:
        service = self._tables.services.get(name.plain)
        if service is not None:
            found = service
            return found, lambda: messages.endpoints(full_name, found, self._profile.zone)
        if not names.is_unknown(name.plain):
            return None
        return None, lambda: messages.unknown_endpoints(full_name, name.plain, self._profile.quoted)

    def _called(self, name: str) -> Any:
        plain = names.called(name)
        if plain in self._tables.services:
            return self._tables.of_service(plain)
        return self._tables.of_host(plain.lower())
