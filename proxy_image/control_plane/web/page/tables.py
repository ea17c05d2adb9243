"""The tables of a service: its targets, its groups, its limits, what became of its targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from grpc_lb_contract.names import address_order
from proxy_image.control_plane.report import formats
from proxy_image.control_plane.report.problems import NEAR_LIMIT
from proxy_image.control_plane.report.report import Report
from proxy_image.control_plane.report.service_report import MethodReport, ServiceReport, TargetReport
from proxy_image.control_plane.stats.call_stats import OK
from proxy_image.control_plane.stats.envoy_stats import Breaker
from proxy_image.control_plane.stats.group_shares import GroupReport
from proxy_image.control_plane.web.page.markup import Child, Html, joined, tag
from proxy_image.control_plane.web.page.parts import bar, latencies, moment, shared

# A service of more targets is shown by those that are not simply serving, and its busiest; the API has all.
MAX_ROWS = 200
MAX_ROWS_IN_OVERVIEW = 12
MAX_EVENTS = 100
MAX_METHODS = 50


def targets_table(service: ServiceReport, rows: Sequence[TargetReport], *, detailed: bool) -> Html:
    if not rows:
        return Html()
    most = MAX_ROWS if detailed else MAX_ROWS_IN_OVERVIEW
    if len(rows) > most:
        rows = sorted(
            rows,
            key=lambda target: (
                target.state == "serving",
                target.silent_since is None,
                -(target.share or 0),
                address_order(target.address),
            ),
        )
    else:
        rows = sorted(rows, key=lambda target: target.silent_since is None)
    shown = rows[:most]
    head = ["target", "zone", "state", "share of calls", "calls/s", "in flight", "time", "ok", "failed"]
    lesser = {"zone", "time", "ok", "connections", "group", "task", "all calls"}
    if detailed:
        head += ["all calls", "connections", *(["group"] if len(service.groups) > 1 else []), "task"]
    numbers = {"calls/s", "in flight", "time", "ok", "failed", "all calls", "connections"}

    def kind(name: str) -> str:
        classes = [label for label, names in (("number", numbers), ("lesser", lesser)) if name in names]
        return " ".join(
            [*classes, "in-flight" if name == "in flight" else name.partition(" ")[0].replace("/", "-per-")]
        )

    kinds = {name: kind(name) for name in head}

    def row(target: TargetReport) -> Html:
        cells: dict[str, Child] = {
            "zone": target.zone or formats.NOTHING,
            "state": _state(service, target),
            "share of calls": shared(
                bar(target.share, target.wanted_share, target.state), formats.percent(target.share)
            ),
            "calls/s": formats.rate(target.calls_per_second),
            "in flight": tag(
                "span", f"{target.in_flight:,}", class_="bad" if target.silent_since is not None else None
            ),
            # Of a target that answers nothing, no time is known.
            "time": formats.wait(target.wait) if target.silent_since is None else formats.NOTHING,
            "ok": formats.percent(target.success_rate),
            "failed": tag("span", target.failures_in_window, class_="bad" if target.failures_in_window else None),
            "all calls": f"{target.calls:,}",
            "connections": target.connections,
            "group": target.group,
            "task": tag("span", formats.short(target.task), title=target.task),
        }
        return tag(
            "tr",
            tag("th", target.address, scope="row"),
            *(tag("td", cells[name], class_=kinds[name]) for name in head[1:]),
            id=f"{service.name}/{target.address}",
        )

    hidden = len(rows) - len(shown)
    return joined(
        tag(
            "table",
            tag("caption", f"Targets of {service.name}", class_="unseen"),
            tag("thead", tag("tr", *(tag("th", name, scope="col", class_=kinds[name]) for name in head))),
            tag("tbody", *(row(target) for target in shown)),
            class_="targets detailed" if detailed else "targets",
        ),
        _more(service, hidden, detailed=detailed) if hidden else None,
    )


def _state(service: ServiceReport, target: TargetReport) -> Html:
    said, kind = target.state, target.state.replace(" ", "-")
    if target.silent_since is not None:
        said = f"no answer since {formats.clock(target.silent_since, target.silent_since)}"
    elif service.takes_no_call and target.state == "serving":
        said, kind = "no route", "no-route"
    return tag("span", said, class_=f"state {kind}")


def _more(service: ServiceReport, hidden: int, *, detailed: bool) -> Html:
    where = f"/api/services/{service.name}" if detailed else f"/services/{service.name}"
    return tag("p", f"{hidden:,} more: ", tag("a", where, href=where), class_="note")


def services_table(services: Iterable[ServiceReport]) -> Html:
    """A line for each service."""

    def row(service: ServiceReport) -> Sequence[Child]:
        serving = sum(target.state == "serving" for target in service.targets)
        return (
            tag("a", service.name, href=f"/services/{service.name}"),
            f"{serving:,} of {len(service.targets):,}",
            formats.rate(service.calls_per_second),
            service.in_flight,
            counted_failures(service.failures_in_window),
        )

    columns = {"service": "", "serving": "number", "calls/s": "number", "in flight": "number", "failed": "number"}
    return table("Other services", "others", columns, map(row, services))


def groups_table(service: ServiceReport) -> Html:
    """How the calls are shared out among the ECS services behind a service: a canary's part, wanted and had."""

    def row(group: GroupReport) -> Sequence[Child]:
        return (
            group.name,
            group.weight if service.is_weighed else formats.NOTHING,
            f"{group.serving} of {group.targets}",
            formats.percent(group.wanted_share),
            shared(bar(group.share, group.wanted_share, "serving"), formats.percent(group.share)),
            formats.rate(group.calls_per_second),
            counted_failures(group.failures_in_window),
        )

    columns = {
        "group": "",
        "weight": "number",
        "serving": "number",
        "wanted": "number",
        "share of calls": "share",
        "calls/s": "number",
        "failed": "number",
    }
    return table(f"Groups of {service.name}", "groups", columns, map(row, service.groups))


def statuses_table(service: ServiceReport) -> Html:
    """How its calls ended, as callers saw them."""
    total = sum(service.statuses_in_window.values())

    def row(status: str) -> Sequence[Child]:
        lately = service.statuses_in_window.get(status, 0)
        part = lately / total if total else None
        drawn = shared(
            bar(part, None, "ejected" if formats.failed({status: lately}) else "serving"), formats.percent(part)
        )
        return status, f"{lately:,}", drawn, f"{service.statuses[status]:,}"

    ordered = sorted(service.statuses, key=lambda status: (status == OK, -service.statuses[status], status))
    columns = {"gRPC status": "", "lately": "number", "share": "share", "since Envoy started": "number"}
    note = (
        f"Lately means the last {service.window_seconds:.0f} s. CANCELLED includes calls that their callers gave up "
        "before there was a status."
    )
    return joined(
        table(f"Calls of {service.name} by status", "statuses", columns, map(row, ordered)),
        tag("p", note, class_="note"),
    )


def methods_table(service: ServiceReport) -> Html:
    def row(method: MethodReport) -> Sequence[Child]:
        failed = formats.failed(method.statuses_in_window)
        return (
            method.method,
            formats.rate(method.calls_per_second),
            tag("span", formats.statuses(failed) if failed else "0", class_="bad" if failed else None),
            latencies(method.latency_ms),
            f"{method.calls:,}",
        )

    columns = {
        "method": "",
        "calls/s": "number",
        "not OK": "number",
        "p50 / p95 / p99": "number",
        "since Envoy started": "number",
    }
    shown = service.methods[:MAX_METHODS]
    return joined(
        table(f"Methods of {service.name}", "methods", columns, map(row, shown)),
        _more(service, len(service.methods) - len(shown), detailed=True) if len(service.methods) > len(shown) else None,
    )


def limits_table(service: ServiceReport) -> Html:
    def row(breaker: Breaker) -> Sequence[Child]:
        part = breaker.used / breaker.limit if breaker.limit else 0.0
        state = "serving" if part < NEAR_LIMIT else "draining" if part < 1 else "ejected"
        drawn = shared(bar(min(part, 1.0), None, state), formats.percent(part))
        return breaker.name, f"{breaker.used:,} of {breaker.limit:,}", drawn

    columns = {"limit": "", "in use": "number", "share": "share"}
    note = (
        "Calls beyond a limit of calls are answered UNAVAILABLE at once; beyond one of connections they wait. Each "
        "balancer has limits of its own."
    )
    return joined(
        table(f"Limits of {service.name}", "limits", columns, map(row, service.breakers)), tag("p", note, class_="note")
    )


def history_table(service: ServiceReport, report: Report) -> Html:
    """What became of its targets, those that left too, newest first."""
    lives = [(each.address, each.task, each.events) for each in service.targets]
    lives += [(each.address, each.task, each.events) for each in service.former]
    events = [(event, address, task) for address, task, happened in lives for event in happened]
    events.sort(key=lambda each: -each[0].at)
    return tag(
        "table",
        tag("caption", f"History of the targets of {service.name}", class_="unseen"),
        tag(
            "thead",
            tag("tr", *(tag("th", name, scope="col") for name in ("when", "target", "what", "why", "task"))),
        ),
        tag(
            "tbody",
            *(
                tag(
                    "tr",
                    tag("td", moment(event.at, report), class_="when"),
                    tag("td", address),
                    tag("td", tag("span", event.what.value, class_=f"state {event.what.value}")),
                    tag("td", event.why, class_="why"),
                    tag("td", tag("span", formats.short(task), title=task), class_="lesser"),
                )
                for event, address, task in events[:MAX_EVENTS]
            ),
        ),
        class_="history",
    )


def table(caption: str, kind: str, columns: Mapping[str, str], rows: Iterable[Sequence[Child]]) -> Html:
    """A table that a narrow screen shows as a list: each column's name, and its class."""

    def row(cells: Sequence[Child]) -> Html:
        first, *others = cells
        named = zip(list(columns.items())[1:], others, strict=True)
        return tag(
            "tr",
            tag("th", first, scope="row"),
            *(tag("td", cell, class_=classes or None, data_of=name) for (name, classes), cell in named),
        )

    return tag(
        "table",
        tag("caption", caption, class_="unseen"),
        tag(
            "thead",
            tag("tr", *(tag("th", name, scope="col", class_=classes or None) for name, classes in columns.items())),
        ),
        tag("tbody", *map(row, rows)),
        class_=f"plain {kind}",
    )


def counted_failures(count: int) -> Html:
    return tag("span", f"{count:,}", class_="bad" if count else None)
