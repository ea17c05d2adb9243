"""The parts that the views are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from proxy_image.control_plane.page import words
from proxy_image.control_plane.page.markup import Child, Html, joined, tag
from proxy_image.control_plane.watch.journal import Change
from proxy_image.control_plane.watch.problems import Problem
from proxy_image.control_plane.watch.report import Report, ServiceReport, TargetReport

# A service of more targets is shown by those that are not simply serving, and its busiest; the API has all.
MOST_ROWS = 200
MOST_ROWS_IN_OVERVIEW = 12


def facts(pairs: Iterable[tuple[str, Child, str]]) -> Html:
    """Figures with their names: (name, figure, note)."""
    return tag(
        "dl",
        *(
            tag("div", tag("dt", name), tag("dd", figure), tag("p", note) if note else None)
            for name, figure, note in pairs
        ),
        class_="facts",
    )


def bar(share: float | None, even: float | None, state: str) -> Html:
    """A share as a bar, with a mark where an even share would end."""
    mark = None
    if even is not None and even < 1:
        mark = tag("rect", class_="even", x=round(even * 100, 2), y=0, width=0.5, height=10)
    return tag(
        "svg",
        tag("rect", class_="track", width=100, height=10),
        tag("rect", class_=f"fill {state.replace(' ', '-')}", width=round((share or 0) * 100, 2), height=10),
        mark,
        class_="bar",
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def targets_table(service: ServiceReport, rows: Sequence[TargetReport], *, detailed: bool) -> Html:
    if not rows:
        return Html()
    most = MOST_ROWS if detailed else MOST_ROWS_IN_OVERVIEW
    if len(rows) > most:
        rows = sorted(rows, key=lambda target: (target.state == "serving", -(target.share or 0), target.address))
    shown = rows[:most]
    head = ["target", "zone", "state", "share of calls", "calls/s", "in flight", "failed"]
    lesser = {"zone", "in flight", "connections", "group", "task", "all calls"}
    if detailed:
        head += ["all calls", "connections", "group", "task"]
    numbers = {"calls/s", "in flight", "failed", "all calls", "connections"}

    def kind(name: str) -> str:
        classes = [label for label, names in (("number", numbers), ("lesser", lesser)) if name in names]
        return " ".join([*classes, name.partition(" ")[0].replace("/", "-per-")])

    def row(target: TargetReport) -> Html:
        cells: dict[str, Child] = {
            "zone": target.zone or words.NOTHING,
            "state": tag("span", target.state, class_=f"state {target.state.replace(' ', '-')}"),
            "share of calls": tag(
                "div",
                bar(target.share, service.even_share, target.state),
                tag("span", words.percent(target.share), class_="percent"),
                class_="shared",
            ),
            "calls/s": words.rate(target.calls_per_second),
            "in flight": target.in_flight,
            "failed": tag("span", target.failures_in_window, class_="bad" if target.failures_in_window else None),
            "all calls": f"{target.calls:,}",
            "connections": target.connections,
            "group": target.group,
            "task": tag("span", words.short(target.task), title=target.task),
        }
        return tag(
            "tr",
            tag("th", target.address, scope="row"),
            *(tag("td", cells[name], class_=kind(name)) for name in head[1:]),
            id=f"{service.name}/{target.address}",
        )

    hidden = len(rows) - len(shown)
    return joined(
        tag(
            "table",
            tag("caption", f"Targets of {service.name}", class_="unseen"),
            tag("thead", tag("tr", *(tag("th", name, scope="col", class_=kind(name)) for name in head))),
            tag("tbody", *(row(target) for target in shown)),
            class_="targets",
        ),
        _more(service, hidden, detailed=detailed) if hidden else None,
    )


def _more(service: ServiceReport, hidden: int, *, detailed: bool) -> Html:
    where = f"/api/services/{service.name}" if detailed else f"/services/{service.name}"
    return tag("p", f"{hidden:,} more: ", tag("a", where, href=where), class_="note")


def zones(service: ServiceReport) -> str:
    """Targets by zone and state in words."""
    by_zone: dict[str, dict[str, int]] = {}
    for target in service.targets:
        states = by_zone.setdefault(target.zone or "no zone", {})
        states[target.state] = states.get(target.state, 0) + 1
    return "; ".join(
        f"{zone}: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        for zone, states in sorted(by_zone.items())
    )


def latencies(latency_ms: tuple[float | None, ...]) -> str:
    return " / ".join(words.milliseconds(value) for value in latency_ms)


def problem_list(problems: Iterable[Problem]) -> Html:
    return tag(
        "ul",
        *(
            tag(
                "li",
                tag("h3", tag("span", problem.severity.value, class_="severity"), " ", problem.title),
                tag("p", problem.detail),
                tag("p", tag("b", "Do: "), problem.do),
                class_=f"problem {problem.severity.value}",
            )
            for problem in problems
        ),
        class_="problems",
    )


def moment(at: float, report: Report) -> Html:
    return joined(
        tag("time", words.clock(at, report.at), datetime=words.iso(at)),
        " ",
        tag("span", f"{words.duration(report.at - at)} ago", class_="ago"),
    )


def _why(change: Change) -> Html | None:
    said = [*words.cause(change.cause)]
    timing = words.timing(change)
    return joined(
        *(tag("p", line, class_="cause") for line in said), tag("p", timing, class_="note") if timing else None
    )


def change_list(changes: Iterable[Change], report: Report) -> Html:
    """The timeline: what each document that was put into use changed."""

    def lines(change: Change) -> Iterable[Html]:
        for sign, word, count, named in (
            ("+", "joined", change.joined_count, change.joined),
            ("~", "draining", change.drained_count, change.drained),
            ("−", "left", change.left_count, change.left),
        ):
            for target in named:
                yield tag("li", tag("span", f"{sign} {word}", class_=f"sign {word}"), " ", target)
            if count > len(named):
                yield tag("li", f"and {count - len(named):,} more {word}")
        if not change.joined_count + change.drained_count + change.left_count:
            yield tag("li", "routes, groups or policies changed; the targets are the same")

    return tag(
        "ol",
        *(
            tag(
                "li",
                tag(
                    "h3",
                    moment(change.at, report),
                    tag("code", change.generation),
                    tag(
                        "span",
                        f"from {change.origin.replace('_', ' ')}, {words.count(change.targets, 'target')}",
                        class_="ago",
                    ),
                ),
                _why(change),
                tag("ul", *lines(change)),
            )
            for change in changes
        ),
        class_="timeline",
    )
