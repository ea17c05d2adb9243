"""Numbers and times as people read them; the page and the status table say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from grpc_lb_contract import Cause, CauseKind, TaskChange
from proxy_image.control_plane.stats.call_stats import OK
from proxy_image.control_plane.stats.history.entries import Change
from proxy_image.control_plane.stats.target_latency import Wait

NOTHING = "–"


def rate(per_second: float) -> str:
    """
    >>> rate(0.25), rate(12.34), rate(1234.5)
    ('0.25', '12.3', '1,234')
    """
    if per_second == 0:
        return "0"
    if per_second < 1:
        return f"{per_second:.2f}"
    return f"{per_second:.1f}" if per_second < 100 else f"{per_second:,.0f}"


def percent(share: float | None) -> str:
    """
    >>> percent(0.5), percent(0.0004)
    ('50 %', '<0.1 %')
    """
    if share is None:
        return NOTHING
    value = share * 100
    if 0 < value < 0.1:
        return "<0.1 %"
    return f"{value:.1f} %" if 0 < value < 10 else f"{value:.0f} %"


def milliseconds(value: float | None) -> str:
    """Envoy counts whole milliseconds.

    >>> milliseconds(0.0), milliseconds(12.3), milliseconds(2500.0)
    ('<1 ms', '12 ms', '2.5 s')
    """
    if value is None:
        return NOTHING
    if value < 1:
        return "<1 ms"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def wait(time: Wait | None) -> str:
    """
    >>> wait(Wait(12.3, at_most=False)), wait(Wait(40.0, at_most=True))
    ('≈ 12 ms', '< 40 ms')
    """
    if time is None:
        return NOTHING
    return f"{'<' if time.at_most else '≈'} {milliseconds(max(1.0, time.ms))}"


def duration(seconds: float) -> str:
    """
    >>> duration(0.4), duration(75), duration(7300), duration(200000)
    ('0 s', '1 min 15 s', '2 h 1 min', '2 d 7 h')
    """
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def count(number: int, what: str) -> str:
    """
    >>> count(1, "target"), count(2000, "target")
    ('1 target', '2,000 targets')
    """
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def some(texts: Sequence[str], most: int = 5, *, separator: str = ", ") -> str:
    """
    >>> some(["a", "b", "c"], 2), some(["a", "b"], 2), some(["a", "b", "c"], 1, separator="; ")
    ('a, b and 1 more', 'a, b', 'a; and 2 more')
    """
    shown, hidden = separator.join(texts[:most]), len(texts) - most
    return f"{shown}{separator.rstrip(', ')} and {hidden:,} more" if hidden > 0 else shown


def short(task: str) -> str:
    """An ECS task's id is 32 hex digits; a dozen tell it apart.

    >>> short("0123456789abcdef0123456789abcdef")
    '0123456789ab…'
    """
    return task if len(task) <= 21 else f"{task[:12]}…"


def clock(at: float, now: float) -> str:
    """The time of day, with the date where it was another day. UTC, as in the logs."""
    then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    return then.strftime("%H:%M:%S" if then.date() == today.date() else "%Y-%m-%d %H:%M:%S")


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cause(why: Cause | None) -> Iterator[str]:
    """What changed the list, a line for each task that an event reported."""
    if why is None:
        return
    if why.kind is CauseKind.EVENT:
        if not why.tasks:
            yield "ECS reported other tasks; the Lambda then listed all of them, and found this too."
            return
        ahead = "" if why.at is not None else "; by the time the Lambda asked, it had moved on"
        for change in why.tasks:
            yield f"ECS's event: {_task_change(change)}{ahead}"
        if why.events > len(why.tasks):
            yield f"and {count(why.events - len(why.tasks), 'more event')} of the same batch"
        return
    yield {
        CauseKind.HEALTH: "Found while the Lambda waited for tasks to become healthy; ECS sends no event for that.",
        CauseKind.SCHEDULED: "Found by the refresh of every minute; no ECS event reported it.",
        CauseKind.INVOKED: "Found when someone invoked the Lambda, or wrote to its queue.",
    }[why.kind]


def _task_change(change: TaskChange) -> str:
    state = change.last_status or "in an unknown state"
    if change.desired_status == "STOPPED" and change.last_status != "STOPPED":
        state += ", told to stop"
    of = f" of {change.service}" if change.service else ""
    return f"task {short(change.task)}{of} is {state}" + (f": {change.reason}" if change.reason else "")


def timing(change: Change) -> str:
    """How long a change took, as far as it is known: from the event to the document, to here, to Envoy.

    The clocks of ECS, the Lambda and this machine are compared: where one is behind, a step may seem to take no time.
    """
    why = change.cause
    if change.is_first:
        return "the first since this control plane started"
    if why is None:
        return ""
    steps: list[str] = []
    before, name = why.at, "event"
    for at, step in ((why.published, "document"), (change.at, "here"), (change.envoy_at, "Envoy")):
        if at is not None:
            if before is not None:
                steps.append(f"{name} to {step} {seconds(at - before)}")
            before, name = at, step
    if change.event_to_envoy_seconds is not None:
        steps.append(f"{seconds(change.event_to_envoy_seconds)} in all")
    return " · ".join(steps)


def origin(name: str) -> str:
    """Where a document comes from.

    >>> origin("ssm"), origin("last_good")
    ('SSM', 'last good')
    """
    return "SSM" if name == "ssm" else name.replace("_", " ")


def seconds(value: float) -> str:
    """
    >>> seconds(0.1234), seconds(12.34), seconds(75), seconds(-0.5)
    ('0.12 s', '12.3 s', '1 min 15 s', '0.00 s')
    """
    value = max(0.0, value)
    if value < 10:
        return f"{value:.2f} s"
    return f"{value:.1f} s" if value < 60 else duration(value)


def statuses(counts: Mapping[str, int]) -> str:
    """Calls by gRPC status, those that are not OK first: "3 UNAVAILABLE, 97 OK"."""
    ordered = sorted(counts.items(), key=lambda each: (each[0] == OK, -each[1], each[0]))
    return ", ".join(f"{count:,} {status}" for status, count in ordered) or "none"


def failed(counts: Mapping[str, int]) -> dict[str, int]:
    """Those that did not end well."""
    return {status: count for status, count in counts.items() if status != OK}
