"""The views by their paths. Each gives what stands in <main>; the frame around it is the same (frame.py)."""

from __future__ import annotations

from collections.abc import Sequence

from proxy_image.control_plane.report import formats
from proxy_image.control_plane.report.report import Report
from proxy_image.control_plane.report.service_report import ServiceReport
from proxy_image.control_plane.web.page.clients import clients
from proxy_image.control_plane.web.page.fleet import fleet_line, fleet_table
from proxy_image.control_plane.web.page.frame import problem_count
from proxy_image.control_plane.web.page.markup import Html, joined, tag
from proxy_image.control_plane.web.page.parts import facts, latencies, problem_list
from proxy_image.control_plane.web.page.service_views import NOTHING_BESIDE, Beside, service_card, service_view
from proxy_image.control_plane.web.page.tables import services_table
from proxy_image.control_plane.web.page.timeline import change_list

PATHS = ("/", "/timeline", "/problems", "/clients")
SERVICE = "/services/"
# A page is made and read again each second: of more services the rest is one line each.
MAX_CARDS = 30


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


def update(path: str, report: Report, beside: Beside = NOTHING_BESIDE) -> dict[str, str] | None:
    """What the script puts into its page, by the id of the element."""
    main = main_of(path, report, beside)
    return None if main is None else {"main": main, "count": problem_count(report)}


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
        *(service_card(service, report.zone, beside) for service in cards),
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
