"""What the labels of all services together may put into the document, so that a few of them cannot fill it.

The document's index can name about 160 shards, and every balancer holds each route several times over.
What labels ask for is bounded, so that the targets of everyone have room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from grpc_lb_contract import Document, Route, Service
from grpc_lb_contract.document.model import RouteMatch
from grpc_lb_contract.document.per_service import PerService
from grpc_lb_contract.document.records import size_of_settings

MAX_ROUTES = 1_000
MAX_BYTES = 128 * 1024
MAX_BYTES_OF_A_SERVICE = 16 * 1024


@dataclass(frozen=True, slots=True)
class OverBudget:
    """A service whose new routes are rejected: what it asks for, and the bound that it meets."""

    service: str
    asked: str
    allowed: str


def sizes_of_settings() -> PerService[int]:
    """For one listing after the other."""
    return PerService(size_of_settings)


def within_budget(
    services: Sequence[Service], previous: Document | None, sizes: PerService[int] | None = None
) -> tuple[tuple[Service, ...], tuple[OverBudget, ...]]:
    """Leave the routes that a service had, and grant new ones while there is room, to those first that ask for least.

    Who is rejected keeps its other routes, as they were, and its targets. Sizes are those of a service's records in the
    document without its groups and targets.
    """
    had = {
        service.name: {route.match: route for route in service.routes} for service in (previous or Document()).services
    }
    kept = {service.name: _as_it_was(service, had.get(service.name, {})) for service in services}
    asked_size = (sizes_of_settings() if sizes is None else sizes).of(services)
    kept_size = {
        service.name: asked_size[service.name]
        if kept[service.name] is service
        else size_of_settings(kept[service.name])
        for service in services
    }
    growth = {service.name: asked_size[service.name] - kept_size[service.name] for service in services}
    routes = sum(len(service.routes) for service in kept.values())
    size = sum(kept_size.values())
    rejected: list[OverBudget] = []
    for service in sorted(services, key=lambda service: (growth[service.name], service.name not in had, service.name)):
        changed = len(set(service.routes) - set(kept[service.name].routes))
        if not changed:
            continue
        more = len(service.routes) - len(kept[service.name].routes)
        allowed = None
        if growth[service.name] <= 0 and not more:
            pass  # it makes nothing larger
        elif asked_size[service.name] > MAX_BYTES_OF_A_SERVICE:
            allowed = f"{MAX_BYTES_OF_A_SERVICE} bytes for one service"
        elif more and routes + more > MAX_ROUTES:
            allowed = f"{MAX_ROUTES} routes for all services, of which {routes} are taken"
        elif size + growth[service.name] > MAX_BYTES:
            allowed = f"{MAX_BYTES} bytes for the routes of all services, of which {size} are taken"
        if allowed is not None:
            rejected.append(OverBudget(service.name, f"{changed} new routes of {growth[service.name]} bytes", allowed))
            continue
        kept[service.name] = service
        routes += more
        size += growth[service.name]
    return tuple(kept[service.name] for service in services), tuple(rejected)


def _as_it_was(service: Service, had: Mapping[RouteMatch, Route]) -> Service:
    kept = tuple(had[route.match] for route in service.routes if route.match in had)
    return service if kept == service.routes else replace(service, routes=kept)
