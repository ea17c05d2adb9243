"""From two readings to what happened between them: rates, shares, percentiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from proxy_image.control_plane.stats.call_stats import Ended
from proxy_image.control_plane.stats.envoy_stats import Reading, ServiceCounts, TargetCounts
from proxy_image.control_plane.stats.histogram import difference, percentiles
from proxy_image.control_plane.stats.reported_calls import ReportedCalls

WINDOW_SECONDS = 10.0


@dataclass(slots=True)  # one is made of each target each second
class TargetWindow:
    calls: int = 0
    failures: int = 0
    """Of tries: where another target then took the call, its client saw none."""
    share: float | None = None
    """Of its service's calls, 0 to 1; None where there were none."""
    successes: int = 0

    @property
    def success_rate(self) -> float | None:
        """Of the tries that ended with a status of the target, 0 to 1; None where none did."""
        ended = self.successes + self.failures
        return self.successes / ended if ended else None


@dataclass(frozen=True, slots=True)
class EndedWindow:
    """Calls that ended, as their callers saw them."""

    statuses: Mapping[str, int] = field(default_factory=dict)
    """Of each gRPC status that there was."""
    percentiles: tuple[float | None, ...] = (None, None, None)
    """Milliseconds, for each of PERCENTILES; None where no call ended, or Envoy does not time this service."""

    @property
    def calls(self) -> int:
        return sum(self.statuses.values())


@dataclass(frozen=True, slots=True)
class ServiceWindow:
    seconds: float
    calls: int
    failures: int
    """As clients saw them: failed tries less those that were retried, and calls that found no target or a limit."""
    targets: Mapping[str, TargetWindow]
    ended: EndedWindow = EndedWindow()
    methods: Mapping[str, EndedWindow] = field(default_factory=dict)


def window_of(readings: Sequence[Reading], seconds: float = WINDOW_SECONDS) -> tuple[Reading, Reading] | None:
    """The newest reading, and the one it is compared with: the first within the time, or else the last before it."""
    if len(readings) < 2:
        return None
    newest = readings[-1]
    # Half a second of grace: a reading that came a little late still bounds the window.
    recent = [reading for reading in readings[:-1] if newest.at - reading.at <= seconds + 0.5]
    return (recent[0] if recent else readings[-2]), newest


def service_window(name: str, before: Reading, after: Reading) -> ServiceWindow:
    """What a service did between two readings; a count that fell restarted (Envoy, or a target, came again)."""
    nothing = ServiceCounts({})
    old, new = before.services.get(name, nothing), after.services.get(name, nothing)
    targets = dict(_target_windows(old.targets, new.targets))
    total = sum(window.calls for window in targets.values())
    if total:
        for window in targets.values():
            window.share = window.calls / total
    unsent = _grown(old.no_target, new.no_target) + _grown(old.overflows, new.overflows)
    retries = _grown(old.retries, new.retries)
    given_up = max(0, _grown(old.unconnected, new.unconnected) - retries)
    seen = sum(window.failures for window in targets.values()) - retries + given_up + unsent
    reported = reported_window(name, before, after)
    return ServiceWindow(
        seconds=after.at - before.at,
        calls=total + reported.calls,
        failures=max(0, seen) + reported.failures,
        targets=targets,
        ended=ended_window(old.ended, new.ended),
        methods={each: ended_window(old.methods.get(each, Ended()), now) for each, now in new.methods.items()},
    )


def _target_windows(
    before: Mapping[str, TargetCounts], after: Mapping[str, TargetCounts]
) -> Iterator[tuple[str, TargetWindow]]:
    """Without their shares."""
    zero = TargetCounts()
    for each, now in after.items():
        was = before.get(each, zero)
        yield (
            each,
            TargetWindow(
                _grown(was.calls, now.calls),
                _grown(was.failures, now.failures),
                None,
                _grown(was.successes, now.successes),
            ),
        )


def reported_window(name: str, before: Reading, after: Reading) -> ReportedCalls:
    old, new = (each.reported.get(name, ReportedCalls()) for each in (before, after))
    return ReportedCalls(new.calls - old.calls, new.failures - old.failures, new.errors - old.errors)


def ended_window(before: Ended, after: Ended) -> EndedWindow:
    grown = {status: _grown(before.statuses.get(status, 0), now) for status, now in after.statuses.items()}
    return EndedWindow(
        {status: count for status, count in grown.items() if count},
        percentiles(difference(before.latency, after.latency)),
    )


def _grown(before: int, after: int) -> int:
    return after - before if after >= before else after
