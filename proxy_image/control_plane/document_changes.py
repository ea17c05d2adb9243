"""What one document has that the one before it had not."""

from __future__ import annotations

from grpc_lb_contract import Document, Service


def changed_services(before: Document | None, after: Document) -> tuple[tuple[Service, ...], tuple[Service, ...]]:
    """The services that are not the same in both, as they were and as they are."""
    old = {service.name: service for service in (() if before is None else before.services)}
    new = {service.name: service for service in after.services}
    return (
        tuple(service for name, service in old.items() if new.get(name) != service),
        tuple(service for name, service in new.items() if old.get(name) != service),
    )
