"""Takes documents from a source, and puts them into use as snapshots."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from grpc_lb_contract import Cause, Document, Service, generation_of
from grpc_lb_contract.names import address_order
from proxy_image.control_plane.document_changes import changed_services
from proxy_image.control_plane.readiness import Newcomer, ReadinessGate, admitted_only
from proxy_image.control_plane.recurring_log import RecurringLog
from proxy_image.control_plane.sources.sink import Origin, Trouble
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.capabilities import LeftOut
from proxy_image.control_plane.xds.envoy.listeners import Ports
from proxy_image.control_plane.xds.host_routes import Shortened
from proxy_image.control_plane.xds.snapshot import InconsistentSnapshotError
from proxy_image.control_plane.xds.snapshot_maker import SnapshotMaker
from proxy_image.metadata import DEFAULT_METADATA, MetadataLimits
from proxy_image.telemetry import OFF, Telemetry

log = logging.getLogger(__name__)

# A log line and a page hold this many addresses; the counts are whole.
MAX_NAMED = 20


class Reconciler:
    """A `Sink` for sources. It remembers the document in use, where it came from and what is wrong with newer ones."""

    def __init__(
        self,
        cache: SnapshotCache,
        ports: Ports,
        state: ControlPlaneState,
        clock: Callable[[], float] = time.monotonic,
        *,
        own_zone: str = "",
        telemetry: Telemetry = OFF,
        system_cas: Path | None = None,
        metadata: MetadataLimits = DEFAULT_METADATA,
        has_envoy: bool = True,
    ) -> None:
        self._cache = cache
        self._maker = SnapshotMaker(
            ports,
            own_zone=own_zone,
            telemetry=telemetry,
            system_cas=system_cas,
            metadata=metadata,
            has_envoy=has_envoy,
        )
        self._state = state
        self._journal = state.journal
        self._admission = ReadinessGate(self._admitted)
        self.document: Document | None = None
        self.origin = Origin.NONE
        self.problem: tuple[Trouble, str] | None = None
        self._not_taken: str | None = None
        self._shortened: Shortened | None = None
        self._left_out: frozenset[LeftOut] = frozenset()
        self._reminder = RecurringLog(clock)

    @property
    def generation(self) -> str | None:
        return None if self._cache.snapshot is None else self._cache.snapshot.generation

    @property
    def shortened(self) -> Shortened | None:
        """Hosts that hold no copies of the routes of less specific ones."""
        return self._shortened

    @property
    def left_out(self) -> frozenset[LeftOut]:
        """What services ask for and this balancer cannot do."""
        return self._left_out

    @property
    def waiting(self) -> int:
        """New targets that do not accept connections yet."""
        return len(self._admission.waiting)

    @property
    def newcomers(self) -> frozenset[Newcomer]:
        return self._admission.waiting

    async def found(
        self, document: Document, origin: Origin, generation: str | None = None, cause: Cause | None = None
    ) -> None:
        started = time.perf_counter()
        generation = generation_of(document) if generation is None else generation
        if document != self.document or generation != self.generation:
            before = self.document
            self._admission.follow(document, trusted=before is None)
            self._not_taken = await self._publish(document, generation)
            if self._not_taken is not None:
                self.troubled(Trouble.INTERNAL, self._not_taken)
                return
            self.document = document
            self._state.documents_applied += 1
            self._journal.applied(before, document, origin, generation, cause)
            facts = _facts(before, document, origin, self._admission.waiting)
            facts["cause"] = None if cause is None else cause.fields()
            ms = round((time.perf_counter() - started) * 1000, 1)
            log.info("generation applied", extra={"facts": {"generation": generation, **facts, "ms": ms}})
            self._tell_shortened(self._maker.findings.shortened)
            self._tell_left_out(self._maker.findings.left_out)
        elif origin is not self.origin:
            log.info("generation confirmed", extra={"facts": {"generation": self.generation, "origin": origin}})
        self._journal.explained(cause)
        self._not_taken = None
        self.origin = origin

    async def close(self) -> None:
        await self._admission.close()

    async def _admitted(self) -> None:
        if self.document is not None and self.generation is not None:
            await self._publish(self.document, self.generation)

    async def _publish(self, document: Document, generation: str) -> str | None:
        """None, or why no snapshot can be made of it."""
        waiting = self._admission.waiting
        try:
            made = self._maker.make(admitted_only(document, waiting), generation)
        except InconsistentSnapshotError as error:
            return str(error)
        await self._cache.publish(made)
        return None

    def _tell_shortened(self, shortened: Shortened | None) -> None:
        if shortened is not None and shortened != self._shortened:
            facts = {
                "hosts": len(shortened.hosts),
                "hosts_named": shortened.hosts[:MAX_NAMED],
                "routes_wanted": shortened.routes_wanted,
                "routes_made": shortened.routes_made,
                "fix": shortened.fix,
            }
            log.warning("routes not copied", extra={"facts": facts})
        self._shortened = shortened

    def _tell_left_out(self, left_out: frozenset[LeftOut]) -> None:
        for each in sorted(left_out - self._left_out):
            log.warning("policy not applied", extra={"facts": asdict(each)})
        self._left_out = left_out

    def confirmed(self) -> None:
        if self._not_taken is not None:
            # What the source holds is not in use.
            self.troubled(Trouble.INTERNAL, self._not_taken)
            return
        self._state.confirmed()
        if self.problem is not None:
            trouble, _message = self.problem
            log.info("document readable again", extra={"facts": {"was": trouble, "generation": self.generation}})
            self._reminder.over()
        self.problem = None

    def troubled(self, trouble: Trouble, message: str) -> None:
        self._state.troubles[trouble] += 1
        if self._reminder.is_due((trouble, message)):
            log.warning(
                "document not taken",
                extra={
                    "facts": {"reason": trouble, "problem": message, "kept": self.generation, "origin": self.origin}
                },
            )
        self.problem = trouble, message


def _facts(
    before: Document | None, document: Document, origin: Origin, waiting: Collection[Newcomer]
) -> dict[str, object]:
    old, new = (set(_addresses(services)) for services in changed_services(before, document))
    return {
        "origin": origin,
        "services": len(document.services),
        "targets": sum(len(service.targets) for service in document.services),
        "added": len(new - old),
        "removed": len(old - new),
        "added_targets": _named(new - old),
        "removed_targets": _named(old - new),
        "waiting": len(waiting),
        "labels_rejected": document.diagnostics.rejected_count,
        "routes_shadowed": document.diagnostics.shadowed_count,
    }


def _addresses(services: Iterable[Service]) -> Iterator[tuple[str, str, str]]:
    for service in services:
        for target in service.targets:
            yield service.name, target.address, target.state


def _named(targets: Iterable[tuple[str, str, str]]) -> list[str]:
    in_order = sorted(targets, key=lambda each: (each[0], address_order(each[1]), each[2]))
    return [" ".join(each) for each in in_order[:MAX_NAMED]]
