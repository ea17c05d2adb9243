"""Which service takes a route that several ask for: the one that holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from grpc_lb_contract.document.model import Document, Route, RouteMatch, Service


@dataclass(frozen=True, slots=True, order=True)
class RouteConflict:
    """A route that `loser` asks for and `holder` keeps."""

    route: Route
    holder: str
    loser: str

    def __str__(self) -> str:
        return (
            f"route of {self.route} must belong to one service, got {self.loser} beside {self.holder}, which holds it; "
            f"give {self.loser} a host or gRPC service of its own"
        )


def resolve_conflicts(
    services: Sequence[Service], previous: Document | None
) -> tuple[tuple[Service, ...], tuple[RouteConflict, ...]]:
    """Leave each match with one service: the one that has it in the previous document, else the one whose route has the
    highest priority, else the first by name.

    The losers keep their other routes and stay in the document.
    """
    held = {route.match: service.name for service in (previous or Document()).services for route in service.routes}
    askers: dict[RouteMatch, dict[str, Route]] = {}
    for service in services:
        for route in service.routes:
            askers.setdefault(route.match, {})[service.name] = route
    winners = {match: _winner(asked, held.get(match)) for match, asked in askers.items()}
    settled = tuple(_without_lost(service, winners) for service in services)
    conflicts = sorted(
        RouteConflict(route, winners[match], name)
        for match, asked in askers.items()
        for name, route in asked.items()
        if name != winners[match]
    )
    return settled, tuple(conflicts)


def _without_lost(service: Service, winners: Mapping[RouteMatch, str]) -> Service:
    won = tuple(route for route in service.routes if winners[route.match] == service.name)
    return service if won == service.routes else replace(service, routes=won)


def _winner(asked: Mapping[str, Route], holder: str | None) -> str:
    return min(asked, key=lambda name: (name != holder, -asked[name].priority, name))
