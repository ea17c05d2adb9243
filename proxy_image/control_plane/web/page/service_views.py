"""What is shown of one service: its card on the overview, and its own page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy_image.control_plane.fleet.fleet import Member
from proxy_image.control_plane.report import formats
from proxy_image.control_plane.report.policy_summary import DEFAULT
from proxy_image.control_plane.report.report import Report
from proxy_image.control_plane.report.service_report import ServiceReport
from proxy_image.control_plane.web.page.charts import Charts
from proxy_image.control_plane.web.page.fleet import fleet_table
from proxy_image.control_plane.web.page.markup import Html, joined, tag
from proxy_image.control_plane.web.page.parts import facts, latencies, problem_list, zones
from proxy_image.control_plane.web.page.tables import (
    groups_table,
    history_table,
    limits_table,
    methods_table,
    statuses_table,
    targets_table,
)

# A service of more routes is shown with the first; the API has all.
MAX_ROUTES = 20


@dataclass(frozen=True, slots=True)
class Beside:
    """What a page shows beside the report: the last hour, drawn, and the other balancers."""

    charts: Charts | None = None
    others: Sequence[Member] = ()

    def hour(self, service: ServiceReport, *, detailed: bool) -> Html | None:
        return None if self.charts is None else self.charts.of(service, detailed=detailed)


NOTHING_BESIDE = Beside()


def service_view(service: ServiceReport, report: Report, beside: Beside = NOTHING_BESIDE) -> Html:
    hour = beside.hour(service, detailed=True)
    return joined(
        tag("h1", service.name),
        problem_list(each for each in report.problems if each.service == service.name),
        _service_facts(service),
        _about(service, report.zone, brief=False),
        fleet_table(report, beside.others, service.name),
        targets_table(service, service.targets, detailed=True),
        joined(tag("h2", "The last hour"), hour) if hour is not None else None,
        joined(tag("h2", "How calls ended"), statuses_table(service)) if service.statuses else None,
        joined(tag("h2", "Methods"), methods_table(service)) if service.methods else None,
        joined(tag("h2", "Groups"), groups_table(service)) if len(service.groups) > 1 else None,
        joined(tag("h2", "Limits"), limits_table(service)) if service.breakers else None,
        tag("h2", "Policy"),
        _policy(service),
        tag("h2", "History of its targets"),
        history_table(service, report),
        tag("p", tag("a", "All services", href="/")),
    )


def service_card(service: ServiceReport, own_zone: str, beside: Beside) -> Html:
    return tag(
        "section",
        tag(
            "div",
            tag("h2", tag("a", service.name, href=f"/services/{service.name}")),
            _service_line(service),
            class_="title",
        ),
        _about(service, own_zone, brief=True),
        targets_table(service, service.targets, detailed=False),
        beside.hour(service, detailed=False),
        class_="service",
        # So that the reader's place stays when the cards change places.
        id=f"card/{service.name}",
    )


def _service_line(service: ServiceReport) -> Html:
    words_of = [f"{formats.rate(service.calls_per_second)} calls/s", f"{service.in_flight:,} in flight"]
    if any(value is not None for value in service.latency_ms):
        words_of.append(f"p50 / p95 / p99 {latencies(service.latency_ms)}")
    failed = f"{service.failures_in_window:,} failed in {service.window_seconds:.0f} s"
    not_ok = formats.failed(service.statuses_in_window)
    return tag(
        "p",
        " · ".join(words_of),
        " · ",
        tag("span", failed, class_="bad" if service.failures_in_window else None),
        joined(" · ", tag("span", formats.statuses(not_ok), class_="bad")) if not_ok else None,
    )


def _service_facts(service: ServiceReport) -> Html:
    timed = any(value is not None for value in service.latency_ms)
    shown: list[tuple[str, str, str]] = [
        ("calls/s", formats.rate(service.calls_per_second), ""),
        ("failed", f"{service.failures_in_window:,}", f"over {service.window_seconds:.0f} s"),
    ]
    if timed:
        shown.append(("p50 / p95 / p99", latencies(service.latency_ms), ""))
    return facts(
        [
            *shown,
            ("in flight", f"{service.in_flight:,}", ""),
            ("all calls", f"{service.calls:,}", f"{service.retries:,} retries"),
            ("ejections", f"{service.ejections:,}", ""),
        ]
    )


def _about(service: ServiceReport, own_zone: str, *, brief: bool) -> Html:
    groups = "; ".join(
        f"{group.name} {formats.percent(group.share)} of the calls, {formats.percent(group.wanted_share)} wanted"
        for group in service.groups
    )
    policy = "; ".join(service.policy_words) or "the default"
    shown, hidden = service.routes[:MAX_ROUTES], len(service.routes) - MAX_ROUTES
    return tag(
        "dl",
        tag(
            "div",
            tag("dt", "takes"),
            tag(
                "dd",
                *(tag("code", route) for route in shown),
                f"and {formats.count(hidden, 'more route')}" if hidden > 0 else None,
                None if service.routes or service.shadowed else "no calls: it has no route",
                _held_by_others(service),
            ),
        ),
        tag("div", tag("dt", "policy"), tag("dd", policy)) if brief else None,
        tag("div", tag("dt", "targets"), tag("dd", zones(service, own_zone) or "none")),
        tag("div", tag("dt", "groups"), tag("dd", groups)) if brief and len(service.groups) > 1 else None,
        class_="about",
    )


def _held_by_others(service: ServiceReport) -> Html | None:
    if not service.shadowed:
        return None
    said = [f"{each.route}, which {each.holder} holds" for each in service.shadowed]
    return tag(
        "span",
        "no calls can arrive: it asks for " if service.takes_no_call else " not: ",
        formats.some(said, MAX_ROUTES, separator="; "),
        class_="bad" if service.takes_no_call else "note",
    )


def _policy(service: ServiceReport) -> Html:
    if not service.policy_words:
        return tag("p", DEFAULT)
    return joined(
        tag("ul", *(tag("li", phrase) for phrase in service.policy_words), class_="policy"),
        tag("p", "What is not named has its default.", class_="note"),
    )
