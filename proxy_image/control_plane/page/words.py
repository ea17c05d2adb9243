"""Numbers and times as people read them; the page and the status table say the same."""

from __future__ import annotations

from datetime import UTC, datetime

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
