"""The parts that the views are made of."""

from __future__ import annotations

from collections.abc import Iterable

from proxy_image.control_plane.report import formats
from proxy_image.control_plane.report.problems import Problem
from proxy_image.control_plane.report.report import Report
from proxy_image.control_plane.report.service_report import ServiceReport
from proxy_image.control_plane.web.page.markup import Child, Html, joined, tag


def facts(pairs: Iterable[tuple[str, Child, str]]) -> Html:
    """Figures with their names: (name, figure, note)."""
    return tag(
        "dl",
        *(
            tag("div", tag("dt", name), tag("dd", figure), tag("dd", note, class_="note") if note else None)
            for name, figure, note in pairs
        ),
        class_="facts",
    )


def bar(share: float | None, wanted: float | None, state: str) -> Html:
    """A share as a bar, with a mark where the share that is wanted would end."""
    mark = None
    if wanted is not None and wanted < 1:
        mark = tag("rect", class_="even", x=round(wanted * 100, 2), y=0, width=0.5, height=10)
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


def shared(drawn: Html, said: str) -> Html:
    """A bar beside what it shows."""
    return tag("div", drawn, tag("span", said, class_="percent"), class_="shared")


def zones(service: ServiceReport, own: str) -> str:
    """Targets by zone and state in words; `own` is the balancer's zone."""
    by_zone: dict[str, dict[str, int]] = {}
    for target in service.targets:
        states = by_zone.setdefault(target.zone, {})
        states[target.state] = states.get(target.state, 0) + 1
    said = (
        (f"{zone or 'no zone'}" + (" (as this balancer)" if zone and zone == own else ""), states)
        for zone, states in sorted(by_zone.items())
    )
    return "; ".join(
        f"{zone}: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items())) for zone, states in said
    )


def latencies(latency_ms: tuple[float | None, ...]) -> str:
    return " / ".join(formats.milliseconds(value) for value in latency_ms)


def problem_list(problems: Iterable[Problem]) -> Html:
    return tag(
        "ul",
        *(
            tag(
                "li",
                tag("h2", tag("span", problem.severity.value, class_="severity"), " ", problem.title),
                tag("p", problem.detail),
                tag("p", tag("b", "Do: "), problem.do),
                _more(problem),
                class_=f"problem {problem.severity.value}",
            )
            for problem in problems
        ),
        class_="problems",
    )


def _more(problem: Problem) -> Html | None:
    if not problem.runbook and not problem.service:
        return None
    where = f"/services/{problem.service}"
    return tag(
        "p",
        tag("a", problem.service, href=where) if problem.service else None,
        " · " if problem.service and problem.runbook else None,
        f"More in docs/operate/alarms.md: {problem.runbook}" if problem.runbook else None,
        class_="note",
    )


def moment(at: float, report: Report) -> Html:
    return joined(
        tag("time", formats.clock(at, report.at), datetime=formats.iso(at)),
        " ",
        tag("span", f"{formats.duration(report.at - at)} ago", class_="ago"),
    )
