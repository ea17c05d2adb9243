"""The fleet on a page: the sum of all balancers, and each one's part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proxy_image.control_plane.fleet.fleet import Member
from proxy_image.control_plane.fleet.summary import Part, Summary, summary_of
from proxy_image.control_plane.report import formats
from proxy_image.control_plane.report.report import Report
from proxy_image.control_plane.web.page.markup import Child, Html, joined, tag
from proxy_image.control_plane.web.page.tables import counted_failures, table

# Of more, those that do not answer or have problems come first, then the busiest.
MAX_ROWS = 12
_NONE = Part(0.0, 0, 0)


def fleet_table(report: Report, members: Sequence[Member], service: str | None = None) -> Html | None:
    """All balancers, or their parts of one service's calls; None where this one is alone."""
    if not members:
        return None
    own = summary_of(report)
    # Of the same kind, they are in the order of their addresses already.
    ordered = sorted(members, key=lambda each: (each.problem is None, not _worst(each)))
    shown, hidden = ordered[: MAX_ROWS - 1], len(ordered) - (MAX_ROWS - 1)
    answering = [own, *(each.summary for each in members if each.summary is not None and each.problem is None)]
    rows = [
        _row(
            "all that answer", f"{len(answering)} of {len(members) + 1}", _sum(answering, service), answering, service
        ),
        _row("this one", own.zone, _part(own, service), [own], service),
        *(_member_row(each, service) for each in shown),
    ]
    columns = {
        "balancer": "",
        "zone": "zone",
        "calls/s": "number",
        "failed": "number",
        "in flight": "number",
        **({} if service is not None else {"connections": "number", "p99": "number"}),
        "problems": "",
    }
    caption = "All balancers" if service is None else f"All balancers' part of {service}"
    more = f"{hidden:,} more are well or less busy. " if hidden > 0 else ""
    note = f"{more}Each is asked every few seconds while a page is open; the rest of this page is about this balancer."
    return tag(
        "section",
        tag("h2", "All balancers"),
        table(caption, "fleet", columns, rows),
        tag("p", note, class_="note"),
        class_="fleet-all",
    )


def _member_row(member: Member, service: str | None) -> Sequence[Child]:
    where = tag("a", _address(member), href=f"http://{_address(member)}/", rel="noreferrer")
    if member.problem is not None or member.summary is None:
        nothing = [formats.NOTHING] * (3 if service is not None else 5)
        since = (
            "" if member.silent_since is None else f" since {formats.clock(member.silent_since, member.silent_since)}"
        )
        said = tag("span", f"does not answer{since}: {member.problem}", class_="bad")
        return (where, member.balancer.zone or formats.NOTHING, *nothing, said)
    one = member.summary
    return _row(where, one.zone or member.balancer.zone, _part(one, service), [one], service)


def _row(name: Child, zone: str, part: Part, summaries: Sequence[Summary], service: str | None) -> Sequence[Child]:
    cells: list[Child] = [
        name,
        zone or formats.NOTHING,
        formats.rate(part.calls_per_second),
        counted_failures(part.failures),
        f"{part.in_flight:,}",
    ]
    if service is None:
        timed = [each.p99_ms for each in summaries if each.p99_ms is not None]
        cells += [
            f"{sum(each.connections for each in summaries):,}",
            formats.milliseconds(max(timed)) if timed and len(summaries) == 1 else formats.NOTHING,
        ]
    return (*cells, _problems(summaries))


def _problems(summaries: Sequence[Summary]) -> Html:
    count = sum(each.problem_count for each in summaries)
    if not count:
        return tag("span", "none", class_="fine")
    if len(summaries) > 1:
        return tag("span", formats.count(count, "problem"))
    (one,) = summaries
    more = f" and {count - 1} more" if count > 1 else ""
    return tag(
        "span", f"{one.problems[0] if one.problems else 'one'}{more}", class_="bad" if one.worst == "error" else None
    )


def _sum(summaries: Sequence[Summary], service: str | None) -> Part:
    parts = [_part(each, service) for each in summaries]
    return Part(
        sum(each.calls_per_second for each in parts),
        sum(each.failures for each in parts),
        sum(each.in_flight for each in parts),
    )


def _part(summary: Summary, service: str | None) -> Part:
    if service is None:
        return Part(summary.calls_per_second, summary.failures, summary.in_flight)
    return summary.services.get(service, _NONE)


def _worst(member: Member) -> str:
    return "" if member.summary is None else member.summary.worst


def _address(member: Member) -> str:
    return member.balancer.address


def fleet_line(report: Report, members: Sequence[Member]) -> Html | None:
    """The fleet in a line, for pages that are about something else."""
    if not members:
        return None
    own = summary_of(report)
    answering = [own, *(each.summary for each in members if each.summary is not None and each.problem is None)]
    whole = _sum(answering, None)
    silent = list(_silent(members))
    said = (
        f"All balancers: {len(answering)} of {len(members) + 1} answer, "
        f"{formats.rate(whole.calls_per_second)} calls/s, {whole.failures:,} failed, {whole.in_flight:,} in flight."
    )
    return tag(
        "p",
        said,
        joined(" ", tag("span", f"No answer from {', '.join(silent[:5])}.", class_="bad")) if silent else None,
        class_="note",
    )


def _silent(members: Sequence[Member]) -> Iterator[str]:
    return (_address(each) for each in members if each.problem is not None)
