"""What the demo claims, and whether this run bears it out: pure functions of what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rng_service.report import Call, LoadReport, plural


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim and what this run has to say about it."""

    text: str
    seen: str
    held: bool
    figures: Mapping[str, object] = field(default_factory=dict)


def all_on_one(text: str, report: LoadReport, tasks: Sequence[str]) -> Claim:
    """One of the tasks, and there is more than one, answered every call."""
    counts = _counts(report, tasks)
    held = not report.failures and counts[0] == len(report.calls) and len(counts) > 1
    return Claim(text, _spread(counts, report), held, _figures(report, calls_per_task=counts))


def spread_evenly(text: str, report: LoadReport, tasks: Sequence[str], *, within: int = 1) -> Claim:
    """Each task answered its equal part of the calls, give or take `within`."""
    counts = _counts(report, tasks)
    part = len(report.calls) / len(tasks)
    held = not report.failures and len(counts) == len(tasks) and all(abs(count - part) <= within for count in counts)
    seen = f"{_spread(counts, report)} (allowed: {part:g} ± {within})"
    return Claim(text, seen, held, _figures(report, calls_per_task=counts, within=within))


def no_call_failed(text: str, report: LoadReport, *, min_calls: int) -> Claim:
    """No call of this stretch of a steady load failed, and there were enough to tell."""
    held = not report.failures and len(report.calls) >= min_calls
    return Claim(text, f"{_load(report)}, {_failures(report.failures)}", held, _figures(report))


def only_calls_inside_failed(
    text: str, report: LoadReport, *, killed_at: float, gone_at: float, min_calls: int
) -> Claim:
    """No call failed but those that had no answer when the task was killed, or were sent before its end was known.

    It is known once the task is gone and the calls that were sent until then have ended: a balancer that gets no CPU
    reads late that a connection has ended, and what came before it does is sent on that connection.
    """
    until_gone = [call.answered for call in report.failures if _was_inside(call, killed_at, gone_at)]
    known_at = max([gone_at, *until_gone])
    inside = [call for call in report.failures if _was_inside(call, killed_at, known_at)]
    besides = [call for call in report.failures if not _was_inside(call, killed_at, known_at)]
    seen = f"{_load(report)}, {len(inside)} inside the task when it died, {_failures(besides)} besides"
    figures = _figures(
        report,
        failed_inside_the_task=len(inside),
        failed_besides=len(besides),
        seconds_to_die=round(gone_at - killed_at, 4),
    )
    return Claim(text, seen, not besides and len(report.calls) >= min_calls, figures)


def in_time(text: str, seconds: Sequence[float | None], *, limit: float, direct: float, times: float) -> Claim:
    """Each of the times, None being never, is below the limit, and there is one.

    On a busy machine all takes longer: the limit is at least so many `times` the seconds that a client that calls a new
    task directly waited in the same run, for the task to start and to answer.
    """
    told = ", ".join("never" if value is None else f"{value:.2f} s" for value in seconds) or "none"
    allowed = max(limit, times * direct)
    held = bool(seconds) and all(value is not None and value < allowed for value in seconds)
    why = f"{limit:g} s" if allowed == limit else f"{times:g} × {direct:.2f} s, as a call straight to a new task took"
    figures = {
        "seconds": [None if value is None else round(value, 3) for value in seconds],
        "allowed_seconds": round(allowed, 3),
        "direct_seconds": round(direct, 3),
    }
    return Claim(text, f"{told} (allowed: {why})", held, figures)


def _counts(report: LoadReport, tasks: Sequence[str]) -> list[int]:
    """How many calls each task answered, most first; a task that answered none counts with 0."""
    return sorted((dict.fromkeys(tasks, 0) | dict(report.tasks)).values(), reverse=True)


def _was_inside(call: Call, killed_at: float, known_at: float) -> bool:
    return call.code == "UNAVAILABLE" and call.started <= known_at and call.answered >= killed_at


def _rate(report: LoadReport) -> float:
    return len(report.calls) / report.seconds if report.seconds > 0 else 0.0


def _figures(report: LoadReport, **more: object) -> dict[str, object]:
    return {
        "calls": len(report.calls),
        "calls_per_second": round(_rate(report), 1),
        "failed": len(report.failures),
        **more,
    }


def _load(report: LoadReport) -> str:
    return f"{plural(len(report.calls), 'call')} at {_rate(report):.0f} a second"


def _spread(counts: Sequence[int], report: LoadReport) -> str:
    return " / ".join(map(str, counts)) + (f", {_failures(report.failures)}" if report.failures else "")


def _failures(failures: Sequence[Call]) -> str:
    if not failures:
        return "none failed"
    first = failures[0]
    return f"{len(failures)} FAILED (first: {first.code} {' '.join(first.details.split())[:160]})"
