"""Which service takes a route that several ask for: the one that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from grpc_lb_contract.model import Document, Route, Service


@dataclass(frozen=True, slots=True, order=True)
class RouteConflict:
    """A route that `loser` asks for and `holder` keeps."""

    route: Route
    holder: str
    loser: str

    def __str__(self) -> str:
        return (
            f"route of {route_words(self.route)} must belong to one service, "
            f"got {self.loser} beside {self.holder}, which holds it; "
            f"give {self.loser} a host or gRPC service of its own"
        )


def route_words(route: Route) -> str:
    """
    >>> route_words(Route("a.example", "rng.v1.RandomNumber"))
    'host a.example and gRPC service rng.v1.RandomNumber'
    """
    return f"host {route.host} and gRPC service {route.grpc_service}{_conditions(route)}"


def _conditions(route: Route) -> str:
    return f" with metadata {', '.join(map(str, route.metadata))}" if route.metadata else ""


def settle_routes(
    services: Sequence[Service], previous: Document | None
) -> tuple[tuple[Service, ...], tuple[RouteConflict, ...]]:
    """Leave each route with one service: the one that has it in the previous document, else the first by name.

    The losers keep their other routes and stay in the document.
    """
    held = {route: service.name for service in (previous or Document()).services for route in service.routes}
    askers: dict[Route, list[str]] = {}
    for service in sorted(services, key=lambda service: service.name):
        for route in service.routes:
            askers.setdefault(route, []).append(service.name)
    winners = {route: held[route] if held.get(route) in names else names[0] for route, names in askers.items()}
    settled = tuple(
        replace(service, routes=tuple(route for route in service.routes if winners[route] == service.name))
        for service in services
    )
    conflicts = sorted(
        RouteConflict(route, winners[route], name)
        for route, names in askers.items()
        for name in names
        if name != winners[route]
    )
    return settled, tuple(conflicts)
