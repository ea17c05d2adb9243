"""The clients without a proxy: who is connected to xDS, what they call, what they rejected and cannot follow."""

from __future__ import annotations

from collections.abc import Sequence

from proxy_image.control_plane.report import formats
from proxy_image.control_plane.report.report import ProxylessCalls, Report
from proxy_image.control_plane.web.page.markup import Child, Html, joined, tag
from proxy_image.control_plane.web.page.parts import problem_list
from proxy_image.control_plane.web.page.tables import table
from proxy_image.control_plane.xds.proxyless.client_register import ClientGroup
from proxy_image.control_plane.xds.proxyless.unsupported_settings import Unfollowed

REJECTED = "ResourceRejected"
MAX_ROWS = 200
MAX_SERVICES = 20


def clients(report: Report) -> Html:
    known = report.proxyless
    rejected = [problem for problem in report.problems if problem.runbook == REJECTED]
    return joined(
        tag("h1", "Clients without a proxy"),
        tag(
            "p",
            "gRPC clients that call the tasks directly, by xds:///SERVICE, and are connected to this balancer.",
            class_="note",
        ),
        problem_list(rejected),
        _connected(known.clients) if known.clients else tag("p", "None is connected."),
        joined(tag("h2", "The calls they reported"), _calls(known.calls)) if known.calls else None,
        joined(tag("h2", "What they cannot follow"), _unfollowed(known.unfollowed)) if known.unfollowed else None,
    )


def _connected(groups: Sequence[ClientGroup]) -> Html:
    def row(group: ClientGroup) -> Sequence[Child]:
        watched = formats.some(group.services, MAX_SERVICES)
        return group.name, f"{group.clients:,}", group.zone or formats.NOTHING, watched or "nothing yet"

    columns = {"language and version": "", "clients": "number", "zone": "", "services that they watch": ""}
    return joined(
        table("Connected clients", "clients", columns, map(row, groups[:MAX_ROWS])), _hidden(len(groups) - MAX_ROWS)
    )


def _calls(calls: Sequence[ProxylessCalls]) -> Html:
    def row(each: ProxylessCalls) -> Sequence[Child]:
        bad = "bad" if each.outcome != "ok" and each.calls else None
        return (
            each.service,
            each.zone or formats.NOTHING,
            each.client,
            tag("span", each.outcome, class_=bad),
            f"{each.calls:,}",
        )

    columns = {"service": "", "client's zone": "", "client": "", "outcome": "", "calls since the start": "number"}
    return joined(table("Calls", "calls", columns, map(row, calls[:MAX_ROWS])), _hidden(len(calls) - MAX_ROWS))


def _unfollowed(settings: Sequence[Unfollowed]) -> Html:
    def row(each: Unfollowed) -> Sequence[Child]:
        return each.service, tag("code", each.label), each.client, each.problem

    columns = {"service": "", "label": "", "client": "", "what becomes of it": ""}
    return joined(
        table("Labels not followed", "unfollowed", columns, map(row, settings[:MAX_ROWS])),
        _hidden(len(settings) - MAX_ROWS),
    )


def _hidden(count: int) -> Html | None:
    return tag("p", f"{count:,} more are in /api/report.", class_="note") if count > 0 else None
