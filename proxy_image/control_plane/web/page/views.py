"""The four views. Each gives what stands in <main>; the frame around it is the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy_image.control_plane.fleet.fleet import Member
from proxy_image.control_plane.report import formats
from proxy_image.control_plane.report.policy_summary import DEFAULT
from proxy_image.control_plane.report.report import Report
from proxy_image.control_plane.report.service_report import ServiceReport
from proxy_image.control_plane.web.page.charts import Charts
from proxy_image.control_plane.web.page.clients import clients
from proxy_image.control_plane.web.page.fleet import fleet_line, fleet_table
from proxy_image.control_plane.web.page.markup import Html, joined, tag
from proxy_image.control_plane.web.page.parts import facts, latencies, problem_list, zones
from proxy_image.control_plane.web.page.tables import (
    groups_table,
    history_table,
    limits_table,
    methods_table,
    services_table,
    statuses_table,
    targets_table,
)
from proxy_image.control_plane.web.page.timeline import change_list

TITLE = "gRPC balancer"
PATHS = ("/", "/timeline", "/problems", "/clients")
SERVICE = "/services/"
# A service of more routes is shown with the first; the API has all.
MAX_ROUTES = 20
# A page is made and read again each second: of more services the rest is one line each.
MAX_CARDS = 30


@dataclass(frozen=True, slots=True)
class Beside:
    """What a page shows beside the report: the last hour, drawn, and the other balancers."""

    charts: Charts | None = None
    others: Sequence[Member] = ()

    def hour(self, service: ServiceReport, *, detailed: bool) -> Html | None:
        return None if self.charts is None else self.charts.of(service, detailed=detailed)


NOTHING_BESIDE = Beside()


def main_of(path: str, report: Report, beside: Beside = NOTHING_BESIDE) -> Html | None:
    """What <main> holds at a path, or None where there is no such page."""
    if path == "/":
        return overview(report, beside)
    if path == "/timeline":
        return timeline(report, beside)
    if path == "/problems":
        return problems(report, beside)
    if path == "/clients":
        return joined(clients(report), fleet_line(report, beside.others))
    service = report.service(path.removeprefix(SERVICE)) if path.startswith(SERVICE) else None
    return None if service is None else service_view(service, report, beside)


def no_such_page(path: str, report: Report) -> Html:
    """What <main> holds where there is no such page: the way back, and the services that there are."""
    name = path.removeprefix(SERVICE)
    known = report.services[:MAX_CARDS]
    return joined(
        tag("h1", f"No service is named {name[:80]}" if path.startswith(SERVICE) else "No such page"),
        tag("p", "It may have been stopped since, or its tasks have another label. The services that there are:")
        if known
        else tag("p", "No service is known yet."),
        tag("ul", *(tag("li", tag("a", each.name, href=f"{SERVICE}{each.name}")) for each in known)) if known else None,
        tag("p", tag("a", "Overview", href="/")),
    )


def document(path: str, main: Html, report: Report, *, live: bool = True) -> str:
    """A whole page; `live` says whether there is something for it to follow."""
    whose = f" task {formats.short(report.task)}" + (f" in {report.zone}" if report.zone else "")
    head = joined(
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        tag("title", f"{path.strip('/')[:80] or 'overview'} · {TITLE}"),
        Html('<link rel="stylesheet" href="/assets/page.css"><link rel="icon" href="/assets/icon.svg">'),
        Html('<script src="/assets/page.js" defer></script>') if live else None,
    )
    links = (("/", "Overview"), ("/timeline", "Timeline"), ("/clients", "Clients"), ("/problems", "Problems"))
    body = joined(
        tag("a", "To the content", href="#main", class_="skip"),
        tag(
            "header",
            tag(
                "strong",
                TITLE,
                tag("small", whose, title=report.scope),
            ),
            tag(
                "nav",
                *(
                    tag("a", name, href=target, aria_current="page" if target == path else None)
                    for target, name in links
                ),
                tag("span", _count(report), id="count"),
                aria_label="Views",
            ),
            tag("span", "not live", id="live", role="status") if live else None,
        ),
        tag("main", main, id="main", tabindex=-1),
        tag(
            "footer",
            tag("p", report.scope),
            tag(
                "p",
                "Times are UTC. The same as data: ",
                tag("a", "/api/report", href="/api/report"),
                ", ",
                tag("a", "/metrics", href="/metrics"),
                ".",
            ),
        ),
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def update(path: str, report: Report, beside: Beside = NOTHING_BESIDE) -> dict[str, str] | None:
    """What the script puts into its page, by the id of the element."""
    main = main_of(path, report, beside)
    return None if main is None else {"main": main, "count": _count(report)}


def _count(report: Report) -> Html:
    if not report.problems:
        return Html()
    worst = report.problems[0].severity.value
    return tag("span", len(report.problems), class_=worst)


def overview(report: Report, beside: Beside = NOTHING_BESIDE) -> Html:
    cards, others = _in_two(report.services)
    return joined(
        tag("h1", "Overview", class_="unseen"),
        problem_list(report.problems[:3]) if report.problems else None,
        tag("p", tag("a", f"All {len(report.problems)} problems", href="/problems"))
        if len(report.problems) > 3
        else None,
        fleet_table(report, beside.others),
        tag("h2", "This balancer", class_="unseen" if not beside.others else None),
        _summary(report),
        *(_service_card(service, report.zone, beside) for service in cards),
        joined(tag("h2", formats.count(len(others), "more service")), services_table(others)) if others else None,
        tag("h2", "Latest changes of the targets"),
        change_list(report.changes[:3], report, heading="h3") if report.changes else tag("p", "None yet."),
    )


def _in_two(services: Sequence[ServiceReport]) -> tuple[Sequence[ServiceReport], Sequence[ServiceReport]]:
    """Of many services, those that fail or are not whole, then the busiest, have their targets shown. Both keep the
    order that they come in.
    """
    if len(services) <= MAX_CARDS:
        return services, ()

    def rank(service: ServiceReport) -> tuple[bool, int, str]:
        whole = all(target.state == "serving" for target in service.targets) and bool(service.targets)
        # By all their calls: by those of the window, services would change places all the time.
        return whole and not service.failures_in_window, -service.calls, service.name

    first = {service.name for service in sorted(services, key=rank)[:MAX_CARDS]}
    return (
        [service for service in services if service.name in first],
        [service for service in services if service.name not in first],
    )


def timeline(report: Report, beside: Beside = NOTHING_BESIDE) -> Html:
    return joined(
        tag("h1", "Timeline"),
        fleet_line(report, beside.others),
        tag(
            "p", "Each target document that this balancer put into use since its control plane started.", class_="note"
        ),
        change_list(report.changes, report, heading="h2") if report.changes else tag("p", "None yet."),
    )


def problems(report: Report, beside: Beside = NOTHING_BESIDE) -> Html:
    return joined(
        tag("h1", "Problems"),
        fleet_line(report, beside.others),
        problem_list(report.problems)
        if report.problems
        else tag("p", "None that this balancer can see.", class_="fine"),
    )


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
        tag("h2", "What became of its targets"),
        history_table(service, report),
        tag("p", tag("a", "All services", href="/")),
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
        tag("p", "What is not named is as by default.", class_="note"),
    )


def _summary(report: Report) -> Html:
    age = report.target_list_age_seconds
    uptime = report.envoy_uptime_seconds
    return facts(
        (
            ("calls/s", formats.rate(report.calls_per_second), f"over {report.window_seconds:.0f} s"),
            ("failed", f"{report.failures_in_window:,}", f"over {report.window_seconds:.0f} s"),
            ("latency p50 / p95 / p99", latencies(report.latency_ms), "all services"),
            ("in flight", f"{report.in_flight:,}", formats.count(report.connections, "connection")),
            (
                "targets confirmed",
                formats.NOTHING if age is None else f"{formats.duration(age)} ago",
                f"generation {(report.generation or 'none')[:8]}",
            ),
            (
                "Envoy",
                "connected" if report.envoy_connected else "away" if report.has_envoy else "none",
                "clients without a proxy alone"
                if not report.has_envoy
                else ""
                if uptime is None
                else f"up {formats.duration(uptime)}",
            ),
        )
    )


def _service_card(service: ServiceReport, own_zone: str, beside: Beside) -> Html:
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
            ("all calls", f"{service.calls:,}", f"{service.retries:,} tried again"),
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
