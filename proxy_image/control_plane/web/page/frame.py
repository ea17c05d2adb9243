"""The frame around every view: the whole page, with its header, links and footer."""

from __future__ import annotations

from proxy_image.control_plane.report import formats
from proxy_image.control_plane.report.report import Report
from proxy_image.control_plane.web.page.markup import Html, joined, tag

TITLE = "gRPC balancer"


_LINKS = (("/", "Overview"), ("/timeline", "Timeline"), ("/clients", "Clients"), ("/problems", "Problems"))


def whole_page(path: str, main: Html, report: Report, *, live: bool = True) -> str:
    """`live` says whether there is something for the page to follow."""
    body = joined(
        tag("a", "To the content", href="#main", class_="skip"),
        _header(path, report, live=live),
        tag("main", main, id="main", tabindex=-1),
        _footer(report),
    )
    return f'<!doctype html>\n<html lang="en"><head>{_head(path, live=live)}</head><body>{body}</body></html>\n'


def _head(path: str, *, live: bool) -> Html:
    return joined(
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        tag("title", f"{path.strip('/')[:80] or 'overview'} · {TITLE}"),
        Html('<link rel="stylesheet" href="/assets/page.css"><link rel="icon" href="/assets/icon.svg">'),
        Html('<script src="/assets/page.js" defer></script>') if live else None,
    )


def _header(path: str, report: Report, *, live: bool) -> Html:
    whose = f" task {formats.short(report.task)}" + (f" in {report.zone}" if report.zone else "")
    links = (tag("a", name, href=target, aria_current="page" if target == path else None) for target, name in _LINKS)
    return tag(
        "header",
        tag("strong", TITLE, tag("small", whose, title=report.scope)),
        tag("nav", *links, tag("span", problem_count(report), id="count"), aria_label="Views"),
        tag("span", "not live", id="live", role="status") if live else None,
    )


def _footer(report: Report) -> Html:
    return tag(
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
    )


def problem_count(report: Report) -> Html:
    if not report.problems:
        return Html()
    worst = report.problems[0].severity.value
    return tag("span", len(report.problems), class_=worst)
