"""A report as lines of text, of the JSON of `/api/report` and `/api/fleet`: pure functions.

Control characters never reach the terminal.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

from grpc_lb_contract import Cause, CauseKind, TaskChange
from grpc_lb_contract.names import host_port
from proxy_image.control_plane.report import formats
from proxy_image.control_plane.stats.history.entries import Change

_BAR = 20


def fleet_lines(fleet: list[dict[str, Any]]) -> Iterator[str]:
    """`/api/fleet` as lines: nothing where one balancer is alone."""
    if len(fleet) < 2:
        return
    answering = [each["summary"] for each in fleet if each["summary"] is not None and each["problem"] is None]
    calls = sum(each["calls_per_second"] for each in answering)
    failures, in_flight = (sum(each[key] for each in answering) for key in ("failures", "in_flight"))
    yield (
        f"all balancers: {len(answering)} of {len(fleet)} answer, {formats.rate(calls)} calls/s, {failures:,} failed, "
        f"{in_flight:,} in flight"
    )
    for place, each in enumerate(fleet):
        balancer, one = each["balancer"], each["summary"]
        name = "this one" if place == 0 else host_port(balancer["ip"], balancer["port"])
        if each["problem"] is not None or one is None:
            yield f"  {_clean(name)} does not answer: {_clean(each['problem'] or '')}"
        else:
            yield (
                f"  {_clean(name)} {_clean(one['zone'])}".rstrip()
                + f": {formats.rate(one['calls_per_second'])} calls/s, {one['failures']:,} failed, "
                f"{one['in_flight']:,} in flight; {_clean('; '.join(one['problems'])) or 'no problems'}"
            )


def _envoy(report: dict[str, Any]) -> str:
    if not report.get("has_envoy", True):
        return "no Envoy: clients without a proxy alone"
    return f"Envoy {'connected' if report['envoy_connected'] else 'NOT CONNECTED'}"


def lines(report: dict[str, Any], *, changes: int = 1, history: bool = False) -> Iterator[str]:
    """The report; `history` adds what became of each service's targets."""
    age = report["target_list_age_seconds"]
    yield f"balancer {_clean(report['task'])} {_clean(report['zone'])}".rstrip()
    yield (
        f"generation {_clean(report['generation'] or 'none')} from {_clean(formats.origin(report['origin']))}, "
        + "confirmed "
        + (f"{formats.duration(age)} ago" if age is not None else "never")
        + f"; {_envoy(report)}"
    )
    yield (
        f"{formats.rate(report['calls_per_second'])} calls/s, {report['in_flight']} in flight, "
        f"{report['failures_in_window']} failed in {report['window_seconds']:.0f} s; p50 / p95 / p99 "
        + " / ".join(formats.milliseconds(value) for value in report["latency_ms"])
    )
    for service in report["services"]:
        yield ""
        yield from _service_lines(service)
        if history:
            yield from history_lines(service, report["at"])
    for change in report["changes"][: max(0, changes)]:
        yield ""
        yield from change_lines(change, report["at"])
    for problem in report["problems"]:
        yield ""
        yield f"{problem['severity'].upper()}: {_clean(problem['title'])}"
        yield f"  {_clean(problem['detail'])}"
        yield f"  do: {_clean(problem['do'])}"
        if section := problem.get("runbook"):
            yield f"  more: docs/operate/alarms.md#{_clean(section.lower())}"
    yield ""
    yield f"{report['scope']} ({time.strftime('%H:%M:%S', time.gmtime(report['at']))} UTC)"


def _service_lines(service: dict[str, Any]) -> Iterator[str]:
    yield f"{_clean(service['name'])}: {', '.join(map(_clean, service['routes'])) or 'no route'}"
    yield f"  policy: {_clean('; '.join(service['policy_words'])) or 'the default'}"
    yield from ended_lines(service)
    for group in service["groups"] if len(service["groups"]) > 1 else ():
        yield (
            f"  group {_clean(group['name'])}: {formats.percent(group['share'])} of the calls, "
            f"{formats.percent(group['wanted_share'])} wanted; {group['serving']} of {group['targets']} serving; "
            f"{group['failures_in_window']} failed"
        )
    for breaker in service["breakers"]:
        yield f"  limit of {_clean(breaker['name'])}: {breaker['used']:,} of {breaker['limit']:,} in use"
    yield from _target_table(service)


def _target_table(service: dict[str, Any]) -> Iterator[str]:
    rows = [("TARGET", "ZONE", "STATE", "SHARE", "", "CALLS/S", "IN FLIGHT", "OK", "FAILED", "CALLS")]
    rows += [
        (
            _clean(target["address"]),
            _clean(target["zone"]) or formats.NOTHING,
            target["state"],
            ("#" * round((target["share"] or 0) * _BAR)).ljust(_BAR, "."),
            formats.percent(target["share"]),
            formats.rate(target["calls_per_second"]),
            str(target["in_flight"]),
            formats.percent(target["success_rate"]),
            str(target["failures_in_window"]),
            f"{target['calls']:,}",
        )
        for target in service["targets"]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def history_lines(service: dict[str, Any], now: float) -> Iterator[str]:
    """What became of a service's targets, those that left too, newest first."""
    lives = [*service["targets"], *service["former"]]
    events = [(event["at"], life["address"], event) for life in lives for event in life["events"]]
    for at, address, event in sorted(events, key=lambda each: -each[0]):
        yield f"  {formats.clock(at, now)} {_clean(address)} {event['what']}: {_clean(event['why'])}"


def ended_lines(service: dict[str, Any]) -> Iterator[str]:
    """How the calls of a service ended, and those of its methods, as far as the balancer counts them."""
    if service["statuses"]:
        latency = " / ".join(formats.milliseconds(value) for value in service["latency_ms"])
        seconds = service["window_seconds"]
        ended = formats.statuses(service["statuses_in_window"])
        yield f"  ended in {seconds:.0f} s: {ended}; p50 / p95 / p99 {latency}"
    for method in service["methods"]:
        latency = " / ".join(formats.milliseconds(value) for value in method["latency_ms"])
        yield (
            f"  method {_clean(method['method'])}: {formats.rate(method['calls_per_second'])} calls/s, "
            f"{formats.statuses(method['statuses_in_window'])}; p50 / p95 / p99 {latency}"
        )


def change_lines(change: dict[str, Any], now: float) -> Iterator[str]:
    """A change of `/api/timeline` as lines."""
    yield f"changed {formats.duration(now - change['at'])} ago, generation {_clean(change['generation'])}"
    made = _made(change)
    for line in (*formats.cause(made.cause), formats.timing(made)):
        if line:
            yield f"  {_clean(line)}"
    for said in change["settings"]:
        yield f"  {_clean(said)}"
    for word in ("joined", "drained", "left"):
        for target in change[word]:
            yield f"  {word}: {_clean(target)}"


def _made(change: dict[str, Any]) -> Change:
    cause = change["cause"]
    if cause is not None:
        tasks = tuple(TaskChange(**task) for task in cause["tasks"])
        cause = Cause(**{**cause, "kind": CauseKind(cause["kind"]), "tasks": tasks})
    known = {field.name: change[field.name] for field in dataclasses.fields(Change)}
    return Change(**{**known, "cause": cause})


def _clean(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
