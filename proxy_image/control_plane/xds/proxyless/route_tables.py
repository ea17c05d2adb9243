"""Which calls of a client go to which service, by what the client calls: `xds:///NAME` or `xds:///HOST`.

By a service's name they go to it, but for those that another service takes from it behind the balancer too: calls to
the same gRPC service with metadata or a method of which the other has a more specific route (a canary by metadata).
By a host's name they go where the balancer would send calls with that host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from grpc_lb_contract import Condition, Document, Match, Route, Service, TrafficPolicy
from grpc_lb_contract.names import ALL
from proxy_image.control_plane.xds.host_routes import HostRoutes

# A client knows no "any other value, or none": such a condition is two routes, and several are the product.
MAX_NEGATED = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """Calls that fit, in the order of the table, and what becomes of them."""

    grpc_service: str
    method: str
    metadata: tuple[Condition, ...]
    service: str
    policy: TrafficPolicy


@dataclass(frozen=True, slots=True)
class RouteTable:
    name: str
    entries: tuple[Entry, ...]

    @property
    def has_faults(self) -> bool:
        return any(entry.policy.fault.delay or entry.policy.fault.abort for entry in self.entries)


class RouteTables:
    """The tables of a document, made when asked for."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._services = {service.name: service for service in document.services}
        self._beside: dict[tuple[str, str], list[tuple[Route, Service]]] | None = None
        self._hosts: Mapping[str, tuple[Entry, ...]] | None = None

    @property
    def services(self) -> Mapping[str, Service]:
        return self._services

    def of_service(self, name: str) -> RouteTable:
        """Raises KeyError for a service that is not there."""
        service = self._services[name]
        beside = self._routes_beside()
        taken = {
            (route.order, other.name): (route, other)
            for own in service.routes
            for route, other in beside[own.host, own.grpc_service]
            if other is service or route.order < own.order
        }
        # Of several hosts' routes with the same conditions the first one takes the calls.
        by_match: dict[object, Entry] = {}
        for key in sorted(taken):
            for entry in _entries(*taken[key]):
                by_match.setdefault((entry.grpc_service, entry.method, entry.metadata), entry)
        entries = list(by_match.values())
        last = Entry(ALL, ALL, (), service.name, service.policy)
        # What comes last and is treated as all else needs no route of its own.
        while entries and (entries[-1].service, entries[-1].policy) == (last.service, last.policy):
            entries.pop()
        return RouteTable(name, (*entries, last))

    def of_host(self, host: str) -> RouteTable | None:
        """None for a host that no service has in its `grpc-lb.hosts`."""
        hosts = self._all_hosts()
        for pattern in (host, *_wildcards(host)):
            if pattern != ALL and pattern in hosts:
                return RouteTable(host, hosts[pattern])
        return None

    @property
    def hosts(self) -> list[str]:
        return sorted({route.host for service in self._document.services for route in service.routes} - {ALL})

    def _routes_beside(self) -> Mapping[tuple[str, str], list[tuple[Route, Service]]]:
        if self._beside is None:
            self._beside = defaultdict(list)
            for service in self._document.services:
                for route in service.routes:
                    self._beside[route.host, route.grpc_service].append((route, service))
        return self._beside

    def _all_hosts(self) -> Mapping[str, tuple[Entry, ...]]:
        if self._hosts is None:
            self._hosts = {
                host: tuple(
                    entry for routed in routes for entry in _entries(routed.route, self._services[routed.service])
                )
                for host, routes in HostRoutes(self._document)
            }
        return self._hosts


def _entries(route: Route, service: Service) -> Iterator[Entry]:
    policy, _ = route.overrides.over(service.policy)
    for metadata in _without_negated_values(route.metadata):
        yield Entry(route.grpc_service, route.method, metadata, service.name, policy)


def _without_negated_values(conditions: Iterable[Condition]) -> Iterator[tuple[Condition, ...]]:
    # A header that is not there fits no matcher of a gRPC client but one for its absence (gRFC A28).
    alternatives = [
        (each, Condition(each.key, Match.ABSENT)) if each.match is Match.NOT_EXACT else (each,) for each in conditions
    ]
    if sum(len(each) > 1 for each in alternatives) <= MAX_NEGATED:
        yield from product(*alternatives)


def _wildcards(host: str) -> Iterator[str]:
    rest = host
    while (dot := rest.find(".")) >= 0:
        rest = rest[dot + 1 :]
        yield f"*.{rest}"
