"""The last hour as small charts, drawn here: no script, no style of their own, nothing from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from proxy_image.control_plane.report import formats
from proxy_image.control_plane.report.service_report import ServiceReport
from proxy_image.control_plane.stats.last_hour.hour import MINUTES, SECONDS, Hour, Minute, ServiceMinute
from proxy_image.control_plane.web.page.markup import Html, joined, tag

MAX_TARGETS = 24
WIDTH, HEIGHT = 240, 48

Series = Sequence[float | None]
"""A value for each minute of the hour, the oldest first; None where none is known."""


@dataclass(slots=True)
class Charts:
    """Those of a minute are drawn once, however many look."""

    hour: Hour
    _drawn: dict[tuple[str, bool], Html | None] = field(default_factory=dict)
    _of: Minute | None = None

    def of(self, service: ServiceReport, *, detailed: bool) -> Html | None:
        newest = self.hour.minutes[-1] if self.hour.minutes else None
        if newest is None:
            return None
        if newest is not self._of:
            self._drawn.clear()
            self._of = newest
        key = service.name, detailed
        if key not in self._drawn:
            self._drawn[key] = _service_charts(service, self.hour.minutes, newest.at, detailed=detailed)
        return self._drawn[key]


def chart(name: str, lines: Sequence[tuple[str, Series]], say: Callable[[float], str]) -> Html:
    """Lines by their classes, all on one scale from 0, with what the newest and the highest value are."""
    known = [value for _, series in lines for value in series if value is not None]
    most = max(known, default=0.0)
    highest = say(most) if known else formats.NOTHING
    newest = [next((value for value in reversed(series) if value is not None), None) for _, series in lines]
    now = " / ".join(formats.NOTHING if value is None else say(value) for value in newest)
    return tag(
        "figure",
        tag("figcaption", tag("span", name), " ", tag("b", now), tag("span", f" max {highest}", class_="ago")),
        tag(
            "svg",
            tag("rect", class_="track", width=WIDTH, height=HEIGHT),
            *(tag("path", d=_path(series, most), class_=f"line {kind}") for kind, series in lines),
            class_="chart",
            viewBox=f"0 0 {WIDTH} {HEIGHT}",
            preserveAspectRatio="none",
            role="img",
            aria_label=f"{name}, the last hour by the minute: now {now}, at most {highest}",
        ),
        class_="small",
    )


def _path(series: Series, most: float) -> str:
    """Moves over what is not known. A line begins half a minute before its first value, so that a lone one is seen."""
    step = WIDTH / (len(series) - 1)
    drawn: list[str] = []
    pen_down = False
    for place, value in enumerate(series):
        if value is None:
            pen_down = False
            continue
        x, y = round(place * step, 1), round(HEIGHT - 2 - (HEIGHT - 4) * (value / most if most else 0.0), 1)
        drawn.append(f"L{x:g} {y:g}" if pen_down else f"M{max(0.0, x - step / 2):g} {y:g}H{x:g}")
        pen_down = True
    return "".join(drawn)


def _service_charts(service: ServiceReport, minutes: Iterable[Minute], newest: int, *, detailed: bool) -> Html | None:
    by_place = {MINUTES - 1 - (newest - minute.at) // SECONDS: minute for minute in minutes}
    if not any(service.name in minute.services for minute in by_place.values()):
        return None

    def series(read: Callable[[ServiceMinute, Minute], float | None]) -> Series:
        return [_of_minute(by_place.get(place), service.name, read) for place in range(MINUTES)]

    calls = series(lambda each, minute: each.calls / minute.seconds if minute.seconds else None)
    failed = series(lambda each, minute: each.failures / minute.seconds if minute.seconds else None)
    drawn = [chart("calls/s", [("calls", calls)], formats.rate), chart("failed/s", [("failed", failed)], formats.rate)]
    p50, p99 = series(lambda each, _: each.p50_ms), series(lambda each, _: each.p99_ms)
    drawn.append(chart("latency p50 / p99", [("calls", p50), ("high", p99)], formats.milliseconds))
    if not detailed:
        return tag("div", *drawn, class_="charts")
    in_flight = series(lambda each, _: float(each.in_flight))
    drawn.append(chart("most in flight", [("calls", in_flight)], lambda value: f"{value:,.0f}"))
    return joined(tag("div", *drawn, class_="charts"), _target_charts(service, by_place))


def _target_charts(service: ServiceReport, by_place: dict[int, Minute]) -> Html | None:
    # Of as many calls, they are in the order of their addresses already.
    shown = sorted(service.targets, key=lambda each: (each.state == "serving", -each.calls))[:MAX_TARGETS]
    if len(service.targets) < 2:
        return None

    def one(address: str) -> Html:
        share: list[float | None] = []
        failed: list[float | None] = []
        for place in range(MINUTES):
            minute = by_place.get(place)
            targets = None if minute is None else minute.targets.get(service.name)
            counts = None if targets is None else targets.of(address)
            whole = 0 if minute is None or targets is None else minute.services[service.name].calls
            share.append(counts[0] / whole if counts is not None and whole else None)
            failed.append(counts[1] / max(1, counts[0]) if counts is not None and whole else None)
        return chart(address, [("calls", share), ("failed", failed)], formats.percent)

    note = "Each target's share of the service's calls, and how many of its own fail."
    hidden = len(service.targets) - len(shown)
    return joined(
        tag("p", note + (f" {hidden:,} more targets are in the API." if hidden else ""), class_="note"),
        tag("div", *(one(each.address) for each in shown), class_="charts"),
    )


def _of_minute(minute: Minute | None, name: str, read: Callable[[ServiceMinute, Minute], float | None]) -> float | None:
    found = None if minute is None else minute.services.get(name)
    return None if found is None or minute is None else read(found, minute)
