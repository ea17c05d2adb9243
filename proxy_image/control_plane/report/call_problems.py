"""What is wrong with the calls of a service, each kind named as its section of docs/operate/alarms.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from grpc_lb_contract.names import address_order
from proxy_image.control_plane.report import formats
from proxy_image.control_plane.report.problems import Problem, Severity, Urgency
from proxy_image.control_plane.stats.last_hour.hour import UNKNOWN_USUAL, Usual
from proxy_image.control_plane.stats.silent_targets import Side, Stalled, Unanswered

# Those of the alarms CallsFail and TrafficImbalance (cdk_grpc_lb/monitoring/alarm_conditions.py).
FAILURES_THAT_COUNT = 5
FAILURE_PERCENT = 5.0
IMBALANCE = 1.5


# Latency is news from so many times the usual on, and so many milliseconds; calls in flight likewise.
SLOWER = 3.0
SLOWER_MS = 100.0
ENOUGH_TIMED = 20
PILED_UP = 4.0
PILED_UP_CALLS = 100


@dataclass(frozen=True, slots=True)
class CallFigures:
    """What the problems of a service's calls are made of. `window_seconds` is what the counts are of."""

    name: str
    window_seconds: float
    calls: int
    failures: int
    statuses: Mapping[str, int]
    in_flight: int
    timed: int
    p50_ms: float | None
    busiest: tuple[str, float] | None = None
    """The target that got the most, and how many times its fair share."""
    unanswered: Mapping[str, Unanswered] = field(default_factory=dict)
    stalled: Stalled | None = None
    usual: Usual = UNKNOWN_USUAL


def call_problems(figures: CallFigures, now: float) -> Iterator[Problem]:
    """now: seconds since 1970."""
    if figures.stalled is not None:
        yield _stalled(figures.name, figures.stalled, now)
    elif figures.unanswered:
        yield _unanswered(figures.name, figures.unanswered, now)
    yield from _failing(figures)
    yield from _uneven(figures)
    if figures.stalled is None and not figures.unanswered:
        yield from _slow(figures)
        yield from _piled_up(figures)


def _unanswered(name: str, unanswered: Mapping[str, Unanswered], now: float) -> Problem:
    first = sorted(unanswered.items(), key=lambda each: (each[1].since, address_order(each[0])))
    said = [
        f"{formats.count(each.waiting, 'call')} {'waits' if each.waiting == 1 else 'wait'} at {address}, "
        f"which last answered {formats.duration(now - each.since)} ago, at {formats.clock(each.since, now)} UTC"
        for address, each in first
    ]
    title = (
        f"{first[0][0]} of {name} does not answer"
        if len(first) == 1
        else f"{len(first)} targets of {name} do not answer"
    )
    return Problem(
        Severity.ERROR,
        title,
        f"{formats.some(said, separator='; ')}. It accepts connections and calls, so Envoy sends it more.",
        "stop the task in ECS (aws ecs stop-task): ECS starts another one, and its calls end with UNAVAILABLE. Before "
        "that, take a thread dump or a profile, if you can. Deadlines on the callers' side bound such a wait; a "
        "health check of the container (or grpc-lb.health-check) takes such a target out by itself.",
        runbook="TargetSilent",
        urgency=Urgency.CALLS_HANG,
        service=name,
    )


def _stalled(name: str, stalled: Stalled, now: float) -> Problem:
    since = f"for {formats.duration(now - stalled.since)}, since {formats.clock(stalled.since, now)} UTC"
    waiting = formats.count(stalled.streams, "stream")
    if stalled.side is Side.CALLERS:
        return Problem(
            Severity.ERROR,
            f"{name} stands still: its callers do not read their streams",
            f"Nothing has come through {since}. {waiting} of {stalled.in_flight:,} calls in flight wait for a caller "
            "to read; what they hold fills the connections to the targets, so that other calls wait as well.",
            "find the caller that pauses: the connections with the most streams, in the callers' metrics and logs. "
            "Restart it, or let it cancel streams that it does not read. The targets are well.",
            runbook="StreamsStalled",
            urgency=Urgency.CALLS_HANG,
            service=name,
        )
    return Problem(
        Severity.ERROR,
        f"{name} stands still: its servers do not read their streams",
        f"Nothing has come through {since}. {waiting} of {stalled.in_flight:,} calls in flight wait for a target to "
        "read what callers send.",
        "look at the targets' logs, CPU and thread dumps: the handler of the stream is blocked. Stop a task that does "
        "not come back; ECS starts another one.",
        runbook="StreamsStalled",
        urgency=Urgency.CALLS_HANG,
        service=name,
    )


def _failing(figures: CallFigures) -> Iterator[Problem]:
    ended = max(1, figures.calls)
    percent = min(100.0, 100 * figures.failures / ended)
    if figures.failures < FAILURES_THAT_COUNT or percent < FAILURE_PERCENT:
        return
    statuses = formats.failed(figures.statuses)
    how = f" They ended {formats.statuses(statuses)}." if statuses else ""
    yield Problem(
        Severity.ERROR,
        f"{percent:.0f} % of the calls to {figures.name} fail",
        f"{figures.failures:,} of {ended:,} in {max(1.0, figures.window_seconds):.0f} s.{how}",
        f"look at the page of {figures.name}: does one target fail, or all? One: its log, and stop it. All: what they "
        "have in common, such as a database or the last deployment.",
        runbook="CallsFail",
        urgency=Urgency.CALLS_FAIL,
        service=figures.name,
    )


def _uneven(figures: CallFigures) -> Iterator[Problem]:
    if figures.busiest is None or figures.busiest[1] < IMBALANCE:
        return
    address, ratio = figures.busiest
    yield Problem(
        Severity.WARNING,
        f"The calls of {figures.name} are uneven",
        f"{address} gets {ratio:.1f} times its fair share.",
        "look whether other targets are slow or full (least-request sends those less), and whether the callers' calls "
        "are alike. Where it is meant to be so, set a policy that says it, such as hashing.",
        runbook="TrafficImbalance",
        service=figures.name,
    )


def _slow(figures: CallFigures) -> Iterator[Problem]:
    usual, now = figures.usual.p50_ms, figures.p50_ms
    if usual is None or now is None or figures.timed < ENOUGH_TIMED:
        return
    if now >= SLOWER * usual and now >= usual + SLOWER_MS:
        yield Problem(
            Severity.WARNING,
            f"{figures.name} is slower than it was",
            f"Half of its calls take more than {formats.milliseconds(now)}; over the last hour it was mostly "
            f"{formats.milliseconds(usual)}.",
            f"look at the page of {figures.name} for a target with more in flight than the others, then at the "
            "targets' CPU and at what they call themselves.",
            runbook="LatencyHigh",
            service=figures.name,
        )


def _piled_up(figures: CallFigures) -> Iterator[Problem]:
    usual = figures.usual.in_flight
    if usual is not None and figures.in_flight >= PILED_UP_CALLS and figures.in_flight >= PILED_UP * usual:
        yield Problem(
            Severity.WARNING,
            f"Calls of {figures.name} pile up",
            f"{figures.in_flight:,} are in flight; over the last hour it was mostly {usual:,.0f} at most.",
            "where they are calls that should end soon, the targets are too slow or too few: look at their CPU, and "
            "scale the service out. Where they are streams, more callers came: nothing is wrong.",
            runbook="CallsPileUp",
            service=figures.name,
        )
