"""What is made of each service of a document, generation after generation: again only of what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from grpc_lb_contract.document.model import Service

T = TypeVar("T")


class PerService(Generic[T]):
    """Remembers what `make` made of the services of one generation. A service that is the same object in the next is
    not made again: services never change.
    """

    def __init__(self, make: Callable[[Service], T]) -> None:
        self._make = make
        self._made: Mapping[str, tuple[Service, T]] = {}

    def of(self, services: Iterable[Service]) -> dict[str, T]:
        """By the services' names. What was made of others is forgotten."""
        self._made = {service.name: self._of(service) for service in services}
        return {name: made for name, (_, made) in self._made.items()}

    def _of(self, service: Service) -> tuple[Service, T]:
        known = self._made.get(service.name)
        return known if known is not None and known[0] is service else (service, self._make(service))
