"""What happened, in memory and bounded: changes of the document, and what became of each target."""

from __future__ import annotations

import re
import time
from collections import Counter as Count
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from grpc_lb_contract import Cause, Document, TargetState, generation_of
from grpc_lb_contract.document.cause import HEALTH_CHECK_FAILS
from proxy_image.control_plane.stats.envoy_stats import Reading
from proxy_image.control_plane.stats.history.changes import TargetChanges, names, other_changes, target_changes
from proxy_image.control_plane.stats.history.ejection_log import EjectionEvent
from proxy_image.control_plane.stats.history.ejection_reasons import why_ejected
from proxy_image.control_plane.stats.history.entries import MAX_NAMED, Change, Rejection, TargetEvent, TargetId, What
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType

_SERVICE_OF = re.compile(r"[a-z0-9-]*")

MAX_CHANGES = 200
MAX_EVENTS = 20
MAX_TARGETS = 2_000
MAX_REJECTIONS = 50

UNEXPLAINED = "no longer in the document"


class Journal:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.started = clock()
        self.changes: deque[Change] = deque(maxlen=MAX_CHANGES)
        self.targets: dict[TargetId, deque[TargetEvent]] = {}
        self.rejections: dict[tuple[str, str, str], Rejection] = {}
        self.envoy_restarts: deque[float] = deque(maxlen=MAX_EVENTS)
        self._states: dict[TargetId, TargetState] = {}
        self._left: dict[TargetId, None] = {}
        self._left_alone: dict[TargetId, What] = {}
        # Ejections and returns that a reading told of, and Envoy's log has not yet.
        self._not_logged: Count[tuple[TargetId, What]] = Count()

    def now(self) -> float:
        return self._clock()

    def applied(
        self,
        before: Document | None,
        document: Document,
        origin: str,
        generation: str | None = None,
        cause: Cause | None = None,
    ) -> None:
        """A document was put into use; `generation` is by default its own."""
        changed = target_changes(before, document)
        self._note_changes(changed, before, {} if cause is None else cause.reasons)
        self._states.update(changed.states)
        self._forget()
        self.changes.append(
            Change(
                self._clock(),
                generation_of(document) if generation is None else generation,
                origin,
                len(document.services),
                len(self._states),
                len(changed.joined),
                len(changed.left),
                len(changed.drained),
                names(changed.joined),
                names(changed.left, {} if cause is None else {each.task: each.reason for each in cause.stops}),
                names(changed.drained),
                () if before is None else tuple(other_changes(before, document))[:MAX_NAMED],
                cause,
                is_first=before is None,
            )
        )

    def _note_changes(self, changed: TargetChanges, before: Document | None, reasons: Mapping[str, str]) -> None:
        for each in changed.joined:
            first = "in the first document of this control plane" if before is None else "new in the document"
            self._note(each, What.JOINED, first)
            self._left.pop(each, None)
            if changed.states[each] is TargetState.DRAINING:
                self._note(each, What.DRAINING, "its task was told to stop")
        for each in changed.drained:
            why = f": {reasons[each.task]}" if each.task in reasons else ""
            self._note(each, What.DRAINING, f"its task was told to stop{why}; calls in flight finish")
        for each in changed.returned:
            self._note(each, What.RETURNED, "the document says that it serves again")
        for each in changed.left:
            self._note(each, What.LEFT, _why_gone(reasons[each.task]) if each.task in reasons else UNEXPLAINED)
            self._states.pop(each, None)
            self._left_alone.pop(each, None)
            for what in (What.EJECTED, What.RETURNED):
                self._not_logged.pop((each, what), None)
            self._left[each] = None

    def explained(self, cause: Cause | None) -> None:
        """ECS may say why a task stopped after its target has left."""
        reasons = {} if cause is None else cause.reasons
        for each in self._left if reasons else ():
            events = self.targets.get(each)
            if each.task in reasons and events and events[-1].why == UNEXPLAINED:
                events[-1] = replace(events[-1], why=_why_gone(reasons[each.task]))

    def in_use(self, generation: str) -> Change | None:
        """Envoy has taken all of a generation. The change that made it, where that is news."""
        if not self.changes or self.changes[-1].generation != generation or self.changes[-1].envoy_at is not None:
            return None
        last, at = self.changes[-1], self._clock()
        event_at = None if last.cause is None or last.is_first else last.cause.at
        # Two clocks: one that is behind must not make a change come before its event.
        seconds = None if event_at is None else max(0.0, round(at - event_at, 3))
        self.changes[-1] = replace(last, envoy_at=at, event_to_envoy_seconds=seconds)
        return self.changes[-1]

    def read(self, before: Reading | None, after: Reading) -> None:
        """Envoy was read: who was ejected, who came back, and whether Envoy itself restarted."""
        if before is not None and after.is_of_another_envoy(before):
            self.envoy_restarts.append(self._clock())
            self._not_logged.clear()
            before = None
        for each in self._states:
            service = after.services.get(each.service)
            counts = None if service is None else service.targets.get(each.address)
            if counts is None:
                continue
            now = What.EJECTED if counts.ejected else What.UNHEALTHY if counts.unhealthy else None
            if now is self._left_alone.get(each):
                continue
            if now is None:
                if self._left_alone.pop(each) is What.EJECTED:
                    self._not_logged[each, What.RETURNED] += 1
                self._note(each, What.RETURNED, "Envoy sends calls to it again")
                continue
            self._left_alone[each] = now
            if now is What.UNHEALTHY:
                self._note(each, now, "it does not pass the health checks that its service asks for")
            else:
                self._not_logged[each, now] += 1
                why = why_ejected(each.service, each.address, before, after)
                self._note(each, now, f"{why}; Envoy tries it again within seconds")

    def logged(self, events: Iterable[EjectionEvent]) -> None:
        """Envoy's log told of these. Of what a reading told of before, it knows the time."""
        events = list(events)
        by_place = {(each.service, each.address): each for each in self._states} if events else {}
        for event in events:
            # A cluster bears its service's name, and where a service has several, something after it.
            found = by_place.get((_SERVICE_OF.match(event.cluster)[0], event.address))  # type: ignore[index]  # it matches the empty text
            if found is None:
                continue
            what = What.EJECTED if event.ejected else What.RETURNED
            if self._not_logged[found, what] > 0:
                self._not_logged[found, what] -= 1
                self._correct(found, what, event.at)
                continue
            if event.ejected:
                self._left_alone[found] = what
                why = f"{event.why}; Envoy tries it again within seconds"
            else:
                self._left_alone.pop(found, None)
                why = "Envoy sends calls to it again"
            self._note(found, what, why, event.at)

    def _correct(self, target: TargetId, what: What, at: float) -> None:
        known = self.targets.get(target, deque())
        for place in range(len(known) - 1, -1, -1):
            if known[place].what is what:
                known[place] = replace(known[place], at=min(at, known[place].at))
                return

    def former(self) -> dict[str, list[TargetId]]:
        """Targets that left, by service, in the order in which they did."""
        by_service: dict[str, list[TargetId]] = {}
        for each in self._left:
            by_service.setdefault(each.service, []).append(each)
        return by_service

    def rejected(self, audience: str, resource_type: str, node: str, error: str) -> None:
        key = (audience, resource_type, node)
        # One for each type is left for our Envoy, however many clients reject.
        most = MAX_REJECTIONS if audience == Audience.ENVOY else MAX_REJECTIONS - len(ResourceType)
        if key in self.rejections or len(self.rejections) < most:
            self.rejections[key] = Rejection(self._clock(), audience, resource_type, node, error)

    def accepted(self, audience: str, resource_type: str, node: str) -> None:
        self.rejections.pop((audience, resource_type, node), None)

    def gone(self, audience: str, node: str) -> None:
        """A stream ended: what its client holds is not known any more."""
        for key in [key for key in self.rejections if (key[0], key[2]) == (audience, node)]:
            del self.rejections[key]

    def _note(self, target: TargetId, what: What, why: str, at: float | None = None) -> None:
        events = self.targets.setdefault(target, deque(maxlen=MAX_EVENTS))
        events.append(TargetEvent(self._clock() if at is None else at, what, why))

    def _forget(self) -> None:
        """Of too many targets, those that left first go first."""
        while self._left and len(self.targets) > MAX_TARGETS:
            first = next(iter(self._left))
            del self._left[first]
            self.targets.pop(first, None)


def _why_gone(reason: str) -> str:
    return reason if reason.startswith(HEALTH_CHECK_FAILS) else f"its task stopped: {reason}"
