"""Several documents, one of each cluster, as one: each is followed by a source of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from grpc_lb_contract import (
    DEFAULT_WEIGHT,
    Balancer,
    Cause,
    Diagnostics,
    Document,
    Group,
    RouteConflict,
    Service,
    ShadowedRoute,
    resolve_conflicts,
)
from proxy_image.control_plane.sources.sink import Origin, Sink, Trouble

log = logging.getLogger(__name__)


def merge(documents: Iterable[Document]) -> tuple[Document, tuple[RouteConflict, ...]]:
    """One document with the services and notes of all, and what they disagree on, which its notes say too.

    Services of one name become one service, with the routes, groups and targets of each, and the policy of the
    earlier document. A route that services of
    different names ask for belongs to the one of the earlier document: no balancer's memory has a part in it, so that
    all balancers agree, whenever they started.
    """
    merged = Document()
    balancers: set[Balancer] = set()
    notes = Diagnostics()
    conflicts: list[RouteConflict] = []
    for document in documents:
        notes += document.diagnostics
        balancers |= set(document.balancers)
        services = {service.name: service for service in merged.services}
        for service in document.services:
            known = services.get(service.name)
            services[service.name] = service if known is None else _together(known, service)
        settled, shadowed = resolve_conflicts(tuple(services.values()), merged)
        merged = Document(settled)
        conflicts += shadowed
    lost_here = (ShadowedRoute(str(each.route), each.holder, each.loser) for each in conflicts)
    return Document(merged.services, notes + Diagnostics.of((), lost_here), tuple(balancers)), tuple(conflicts)


def _together(first: Service, second: Service) -> Service:
    weighed = first.is_weighed or second.is_weighed
    groups = {group.name: group for service in (second, first) for group in _groups(service, weighed=weighed)}
    return replace(
        first,
        routes=tuple({route.match: route for route in (*second.routes, *first.routes)}.values()),
        groups=tuple(groups.values()),
        targets=(*first.targets, *second.targets),
    )


def _groups(service: Service, *, weighed: bool) -> tuple[Group, ...]:
    if weighed and not service.is_weighed:
        return tuple(replace(group, weight=DEFAULT_WEIGHT) for group in service.groups)
    return service.groups


class Followed(Protocol):
    """A source whose start is told apart from what comes after it."""

    async def start(self) -> Trouble | None:
        """The first reading, or the last good document in its place."""

    async def follow(self, trouble: Trouble | None) -> None:
        """Never returns. `trouble` is what the start has returned."""


class ClusterSink:
    """The `Sink` of one source. Its trouble leaves its last document, and those of the others, in place."""

    def __init__(self, whole: Merged, name: str) -> None:
        self._whole = whole
        self.name = name
        self.document: Document | None = None
        self.origin = Origin.NONE
        self.problem: tuple[Trouble, str] | None = None
        self.has_started = False

    async def found(
        self,
        document: Document,
        origin: Origin,
        generation: str | None = None,  # noqa: ARG002 - that of a part
        cause: Cause | None = None,
    ) -> None:
        self.document, self.origin, self.has_started = document, origin, True
        await self._whole.publish(cause)

    def confirmed(self) -> None:
        self.problem = None
        self._whole.tell()

    def troubled(self, trouble: Trouble, message: str) -> None:
        self.problem = trouble, f"{self.name}: {message}"
        self._whole.tell()

    async def started(self) -> None:
        if not self.has_started:  # it has found nothing
            self.has_started = True
            await self._whole.publish()


class Merged:
    """Hands one document on, made of those of its parts; at the start, once each has had its chance to be there.

    Without that, a control plane that restarts beside a running Envoy would take away, for a moment, the targets of
    the cluster that it reads last.
    """

    def __init__(self, names: Sequence[str], sink: Sink) -> None:
        self.parts = tuple(ClusterSink(self, name) for name in names)
        self._sink = sink
        self._conflicts: frozenset[RouteConflict] = frozenset()
        self._one_at_a_time = asyncio.Lock()

    async def run(self, sources: Sequence[Followed]) -> None:
        """Never returns. `sources` are those of the parts, in their order."""
        await asyncio.gather(*map(self._run, self.parts, sources))

    async def _run(self, part: ClusterSink, source: Followed) -> None:
        trouble = await source.start()
        await part.started()
        await source.follow(trouble)

    async def publish(self, cause: Cause | None = None) -> None:
        async with self._one_at_a_time:
            found = [part for part in self.parts if part.document is not None]
            if not found or not self._has_started:
                return
            document, conflicts = merge(part.document for part in found if part.document is not None)
            self._tell_conflicts(frozenset(conflicts))
            origin = Origin.LAST_GOOD if any(part.origin is Origin.LAST_GOOD for part in found) else found[0].origin
            await self._sink.found(document, origin, cause=cause)

    def _tell_conflicts(self, conflicts: frozenset[RouteConflict]) -> None:
        for conflict in sorted(conflicts - self._conflicts):
            facts = {
                "host": conflict.route.host,
                "grpc_service": conflict.route.grpc_service,
                "method": conflict.route.method,
                "metadata": [str(condition) for condition in conflict.route.metadata],
                "priority": conflict.route.priority,
                "holder": conflict.holder,
                "loser": conflict.loser,
                "problem": str(conflict),
            }
            log.warning("route shadowed", extra={"facts": facts})
        self._conflicts = conflicts

    def tell(self) -> None:
        """All is well when it is with every part; else the sink hears of each problem, at every reading of any part."""
        problems = [part.problem for part in self.parts if part.problem is not None]
        if problems:
            self._sink.troubled(problems[0][0], "; ".join(message for _trouble, message in problems))
        elif self._has_started:
            self._sink.confirmed()

    @property
    def _has_started(self) -> bool:
        return all(part.has_started for part in self.parts)
