"""Which routes each virtual host holds: its own, and copies of those of less specific hosts, up to a bound.

Envoy chooses one virtual host and looks no further, so each must hold all that may take its calls. Hosts times routes
is a product, and labels are untrusted: without a bound a few task definitions make a configuration that fills memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from grpc_lb_contract import Condition, Document, Route
from grpc_lb_contract.names import ALL, less_specific_hosts
from grpc_lb_contract.policy.traffic_policy import DEFAULTS

# Of one route configuration, copies included: about 2 MB and half a second of work. A fleet of a hundred hosts, each
# with gRPC services of its own, beside a hundred services for all hosts has half as many.
MAX_ROUTES = 20_000

# Envoy takes 14 to 19 KB for a route of a service with gRPC-Web (with its CORS, and the one for preflights beside it),
# and 2 KB for another: 20,000 of them were 400 MiB, twice that with each change. Four conditions take 1 to 2 KB.
WEB_COUNTS_AS = 8
CONDITIONS_THAT_COUNT = 4
# A route whose service sets deadlines is up to three in Envoy.
ROUTES_OF_DEADLINES = 3


# Compared by identity: the copies of a route are the same object, and a host has hundreds of them.
@dataclass(frozen=True, slots=True, eq=False)
class Routed:
    """A route, and the name of the service that takes its calls."""

    route: Route
    service: str
    counts_as: int = 1

    @property
    def takes_all(self) -> bool:
        return self.called == (ALL, ALL) and not self.route.metadata

    @property
    def called(self) -> tuple[str, str]:
        return self.route.grpc_service, self.route.method


@dataclass(frozen=True, slots=True)
class Shortened:
    """Hosts that got no copies, because all copies together are too many."""

    hosts: tuple[str, ...]
    routes_wanted: int
    routes_made: int

    @property
    def fix(self) -> str:
        return (
            f"routes of all hosts together must be at most {MAX_ROUTES}, got {self.routes_wanted} (each of a service "
            f"with grpc-lb.web counts as {WEB_COUNTS_AS}, {CONDITIONS_THAT_COUNT} conditions as one more); name fewer "
            "gRPC services for host * (grpc-lb.grpc-services), or fewer hosts that have gRPC services of their own "
            "(grpc-lb.hosts)"
        )


class HostRoutes:
    """The routes of each virtual host, in Envoy's order: the first that fits takes the call."""

    def __init__(self, document: Document, most: int = MAX_ROUTES) -> None:
        own: dict[str, list[Routed]] = {ALL: []}
        for service in document.services:
            counts_as = WEB_COUNTS_AS if service.policy.web.enabled else 1
            for route in service.routes:
                conditions = len(route.metadata) // CONDITIONS_THAT_COUNT
                deadline = route.overrides.over(service.policy)[0].deadline
                times = 1 if deadline == DEFAULTS.deadline else ROUTES_OF_DEADLINES
                own.setdefault(route.host, []).append(Routed(route, service.name, times * (counts_as + conditions)))
        for routes in own.values():
            routes.sort(key=lambda routed: (routed.route.order, routed.service))
        self._own: Mapping[str, list[Routed]] = own
        self._takes_all = frozenset(host for host in own if any(routed.takes_all for routed in own[host]))
        self.shortened = self._shorten(most)
        self._alone = frozenset() if self.shortened is None else frozenset(self.shortened.hosts)

    def __iter__(self) -> Iterator[tuple[str, Iterator[Routed]]]:
        return ((host, self._in_order(host)) for host in sorted(self._own))

    def _in_order(self, host: str) -> Iterator[Routed]:
        """The host's own routes, then those of ever less specific hosts that stand for it too; none that comes after
        one that takes all its calls.
        """
        taken = set[tuple[str, str, tuple[Condition, ...]]]()
        for pattern in (host,) if host in self._alone else self._sources(host):
            for routed in self._own[pattern]:
                grpc_service, method = routed.called
                conditions = routed.route.metadata
                wider = product({(grpc_service, method), (grpc_service, ALL), (ALL, ALL)}, {conditions, ()})
                if taken.isdisjoint((*called, fitting) for called, fitting in wider):
                    taken.add((grpc_service, method, conditions))
                    yield routed

    def _sources(self, host: str) -> Iterator[str]:
        """The hosts whose routes may take this one's calls: itself first, none after one that takes all calls."""
        for pattern in (host, *less_specific_hosts(host)):
            if pattern in self._own:
                yield pattern
                if pattern in self._takes_all:
                    return

    def _shorten(self, most: int) -> Shortened | None:
        size = {host: sum(routed.counts_as for routed in routes) for host, routes in self._own.items()}
        copies = {host: sum(size[pattern] for pattern in self._sources(host)) - size[host] for host in self._own}
        hosts_of = Counter(
            service for routes in self._own.values() for service in {routed.service for routed in routes}
        )
        # Of hosts with as many copies, those of the services with the most hosts are the first to go without: whoever
        # makes the product large pays for it.
        crowd = {
            host: max((hosts_of[routed.service] for routed in routes), default=0) for host, routes in self._own.items()
        }
        # Each host has one more route, which says that there is none.
        routes_made = wanted = sum(copies.values()) + sum(size.values()) + len(size)
        alone = []
        for host in sorted(copies, key=lambda host: (-copies[host], -crowd[host], host)):
            if routes_made <= most or copies[host] == 0:
                break
            alone.append(host)
            routes_made -= copies[host]
        return Shortened(tuple(alone), wanted, routes_made) if alone else None
