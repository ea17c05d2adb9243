"""Targets that answer nothing while calls wait at them, and services whose streams stand still: told from readings.

Envoy counts an answer when a call ends with a status of its server. A call that its caller gives up, or whose deadline
passes, is none, so that a server that hangs is known whatever its callers do. Streams that nobody ends answer nothing
either: silence is news only where the other targets, or the target itself a while ago, answer the calls sent to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from proxy_image.control_plane.stats.envoy_stats import Reading, ServiceCounts, TargetCounts

# So long, and so many calls, without an answer.
SILENT_SECONDS = 2.0
SILENT_CALLS = 5
# Where least-request sends a target few calls because those that it has stay.
FEW_CALLS = 2
FEW_CALLS_SECONDS = 8.0
# Part of the calls sent elsewhere, or earlier, that were answered. Of long streams it is near 0.
ANSWERED_ELSEWHERE = 0.5

STALLED_SECONDS = 3.0
# What HTTP/2 itself takes while no message comes through: a call's headers and window updates, and pings.
BYTES_A_CALL = 300
BYTES_A_SECOND = 2_048

_NOTHING = ServiceCounts({})
_NO_TARGET = TargetCounts()


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A target that answers nothing. `since`: seconds since 1970, the last time that it was seen to answer."""

    since: float
    waiting: int
    """Calls in flight at it."""
    sent: int
    """Calls sent to it since then."""


class Side(StrEnum):
    """Who does not read what it is sent."""

    CALLERS = "callers"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Stalled:
    """A service of which nothing comes through. `streams`: those that wait for the side that does not read."""

    side: Side
    since: float
    streams: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Silences:
    """Of each service by name; those of its targets by address. Nothing is said of a service where all is well."""

    unanswered: Mapping[str, Mapping[str, Unanswered]] = field(default_factory=dict)
    stalled: Mapping[str, Stalled] = field(default_factory=dict)


NO_SILENCES = Silences()


@dataclass(frozen=True, slots=True)
class _Quiet:
    """What is known of a target or a service since it last answered."""

    at: float
    wall: float
    usual: float
    """Part of the calls that were answered before."""
    sent: int = 0
    elsewhere_sent: int = 0
    elsewhere_answered: int = 0


class SilenceWatch:
    """Follows each pair of readings. Its memory is bounded by what Envoy knows."""

    def __init__(self) -> None:
        self._targets: dict[tuple[str, str], _Quiet] = {}
        self._services: dict[tuple[str, Side], _Quiet] = {}
        self._usual: dict[str, float] = {}
        self._unbalanced: dict[str, int] = {}
        self.now = NO_SILENCES

    def add(self, before: Reading, after: Reading, wall: float) -> None:
        """wall: when `after` was read, seconds since 1970."""
        unanswered: dict[str, dict[str, Unanswered]] = {}
        stalled: dict[str, Stalled] = {}
        targets: dict[tuple[str, str], _Quiet] = {}
        began = _Quiet(before.at, wall - (after.at - before.at), 0.0)
        for name, new in after.services.items():
            old = before.services.get(name, _NOTHING)
            found = self._look_at_targets(name, old, new, replace(began, usual=self._usual.get(name, 0.0)), targets)
            if stall := self._look_at_service(name, old, new, began, after.at):
                stalled[name] = stall
            silent = {
                where: told for where, quiet in found.items() if (told := _told(quiet, new.targets[where], after.at))
            }
            if silent:
                unanswered[name] = silent
        self._targets = targets
        for gone in (self._usual.keys() | self._unbalanced.keys()) - after.services.keys():
            self._usual.pop(gone, None)
            self._unbalanced.pop(gone, None)
            for side in Side:
                self._services.pop((gone, side), None)
        self.now = Silences(unanswered, stalled)

    def _look_at_targets(
        self, name: str, old: ServiceCounts, new: ServiceCounts, began: _Quiet, quiet: dict[tuple[str, str], _Quiet]
    ) -> dict[str, _Quiet]:
        sent = answered = 0
        silent: dict[str, tuple[_Quiet, int]] = {}
        for where, counts in new.targets.items():
            was = old.targets.get(where, _NO_TARGET)
            if not counts.in_flight and not was.in_flight and counts.calls == was.calls:
                continue
            sent_now, answered_now = max(0, counts.calls - was.calls), counts.answered - was.answered
            sent, answered = sent + sent_now, answered + max(0, answered_now)
            if counts.in_flight and answered_now == 0:
                silent[where] = self._targets.get((name, where), began), sent_now
        found = {
            where: replace(
                known,
                sent=known.sent + sent_now,
                elsewhere_sent=known.elsewhere_sent + sent - sent_now,
                elsewhere_answered=known.elsewhere_answered + answered,
            )
            for where, (known, sent_now) in silent.items()
        }
        quiet.update({(name, where): each for where, each in found.items()})
        if sent and answered:
            # Of the last dozen readings, about.
            self._usual[name] = 0.9 * self._usual.get(name, 0.0) + 0.1 * min(1.0, answered / sent)
        return found

    def _look_at_service(
        self, name: str, old: ServiceCounts, new: ServiceCounts, began: _Quiet, now: float
    ) -> Stalled | None:
        callers = new.paused - new.resumed
        # A stream that ends while it is paused is never counted as resumed.
        before = old.paused - old.resumed - old.in_flight
        self._unbalanced[name] = ended = max(self._unbalanced.get(name, 0), before, callers - new.in_flight)
        callers -= ended
        is_quiet = bool(new.in_flight) and sum(each.answered for each in new.targets.values()) == sum(
            each.answered for each in old.targets.values()
        )
        little = BYTES_A_CALL * max(0, new.calls - old.calls) + BYTES_A_SECOND * (now - began.at)
        for side, waiting, came in (
            (Side.CALLERS, callers, new.bytes_read - old.bytes_read),
            (Side.SERVER, new.backed_up - new.drained, new.bytes_written - old.bytes_written),
        ):
            if not is_quiet or waiting <= 0 or came > little:
                self._services.pop((name, side), None)
                continue
            known = self._services.setdefault((name, side), began)
            if now - known.at >= STALLED_SECONDS:
                return Stalled(side, known.wall, waiting, new.in_flight)
        return None


def _told(quiet: _Quiet, counts: TargetCounts, now: float) -> Unanswered | None:
    passed = now - quiet.at
    enough = quiet.sent >= SILENT_CALLS or (quiet.sent >= FEW_CALLS and passed >= FEW_CALLS_SECONDS)
    if passed < SILENT_SECONDS or not enough or counts.ejected:
        return None
    elsewhere = quiet.elsewhere_answered / quiet.elsewhere_sent if quiet.elsewhere_sent >= SILENT_CALLS else quiet.usual
    return Unanswered(quiet.wall, counts.in_flight, quiet.sent) if elsewhere >= ANSWERED_ELSEWHERE else None
