"""What the report says of one service. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from grpc_lb_contract import Document, Service, ShadowedRoute, Target, TargetState
from grpc_lb_contract.names import address_order
from proxy_image.control_plane.readiness import Newcomer, admitted_only
from proxy_image.control_plane.report.policy_summary import policy_words, route_words
from proxy_image.control_plane.report.problems import NO_ANSWER
from proxy_image.control_plane.stats.call_stats import Ended
from proxy_image.control_plane.stats.envoy_stats import Breaker, Reading, ServiceCounts, TargetCounts
from proxy_image.control_plane.stats.group_shares import GroupReport, group_reports
from proxy_image.control_plane.stats.history.entries import TargetEvent, TargetId, identity
from proxy_image.control_plane.stats.history.journal import Journal
from proxy_image.control_plane.stats.minute_stats import uneven
from proxy_image.control_plane.stats.silent_targets import NO_SILENCES, Silences, Stalled
from proxy_image.control_plane.stats.target_latency import Wait, wait_of
from proxy_image.control_plane.stats.window import EndedWindow, ServiceWindow, TargetWindow, service_window

MAX_FORMER = 50
MAX_METHODS = 200
SETTLING_SECONDS = 30.0


@dataclass(slots=True)  # one is made of each target each second
class TargetReport:
    """state: serving, draining, ejected, unhealthy, "not admitted", or "no answer": calls wait at it, since
    `silent_since` (seconds since 1970), and it ends none. success_rate: of the calls of the window that the target
    ended, 0 to 1. wait: how long a call is at it, about. share: of the service's calls in the window, 0
    to 1; wanted_share: what it is to have by its service's policy, None where that is not even (zones, no calls).
    """

    address: str
    group: str
    zone: str
    task: str
    state: str
    share: float | None
    wanted_share: float | None
    calls_per_second: float
    failures_in_window: int
    calls: int
    failures: int
    in_flight: int
    connections: int
    events: tuple[TargetEvent, ...]
    success_rate: float | None = None
    wait: Wait | None = None
    silent_since: float | None = None


@dataclass(frozen=True, slots=True)
class FormerTarget:
    address: str
    task: str
    events: tuple[TargetEvent, ...]


@dataclass(frozen=True, slots=True)
class MethodReport:
    """method: `package.Service/Method`, as callers named it, cut at 128 characters. statuses_in_window: calls that
    ended, by gRPC status. latency_ms: p50, p95, p99 of the window.
    """

    method: str
    calls: int
    calls_per_second: float
    statuses_in_window: Mapping[str, int]
    latency_ms: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """failures_in_window: as clients saw them; those of targets are of tries, which another target may have made good.

    policy: the settings that differ from the defaults, as labels have them; policy_words: the same in words.

    statuses: calls that ended since Envoy started, by gRPC status; statuses_in_window: those of the window. Both are
    empty, and there are no methods, where the balancer is told not to count them.

    latency_ms: p50, p95, p99 of the window; None where nothing ended, or Envoy does not time services by themselves and
    this is one of several.
    """

    name: str
    routes: tuple[str, ...]
    policy: Mapping[str, str]
    policy_words: tuple[str, ...]
    groups: tuple[GroupReport, ...]
    is_weighed: bool
    window_seconds: float
    calls_per_second: float
    calls_in_window: int
    failures_in_window: int
    calls: int
    in_flight: int
    retries: int
    ejections: int
    statuses: Mapping[str, int]
    statuses_in_window: Mapping[str, int]
    latency_ms: tuple[float | None, ...]
    methods: tuple[MethodReport, ...]
    breakers: tuple[Breaker, ...]
    even_share: float | None
    targets: tuple[TargetReport, ...]
    former: tuple[FormerTarget, ...]
    shadowed: tuple[ShadowedRoute, ...] = ()
    """Routes that it asks for, and that another service holds."""
    stalled: Stalled | None = None
    busiest: tuple[str, float] | None = None
    """Its target with the most calls, and how many times its fair share that is; None where that says nothing."""

    @property
    def takes_no_call(self) -> bool:
        """All that it asks for is another one's."""
        return not self.routes and bool(self.shadowed)


def service_report(
    service: Service,
    waiting: Collection[Newcomer],
    newest: Reading | None,
    window: tuple[Reading, Reading] | None,
    journal: Journal,
    gone: Sequence[TargetId] = (),
    *,
    silences: Silences = NO_SILENCES,
    readings: Sequence[Reading] = (),
    shadowed: Sequence[ShadowedRoute] = (),
) -> ServiceReport:
    """`gone`: its targets that left, the last at the end. `readings`: those of the window, to tell how long calls are
    at each target; none where nobody is to be told. `shadowed`: its own.
    """
    held_back = _held_back(service, waiting)
    counts = ServiceCounts({}) if newest is None else newest.services.get(service.name, ServiceCounts({}))
    recent = ServiceWindow(0.0, 0, 0, {}) if window is None else service_window(service.name, *window)
    known = sorted(
        ((target, identity(service.name, target)) for target in service.targets),
        key=lambda each: address_order(each[1].address),
    )
    states = [_state(target, who, held_back, counts) for target, who in known]
    silent = silences.unanswered.get(service.name, {})
    takes_calls = {who.address for (_, who), state in zip(known, states, strict=True) if state == "serving"}
    groups = tuple(group_reports(service, takes_calls, recent))
    wanted = _wanted_shares(service, groups)
    return ServiceReport(
        name=service.name,
        routes=tuple(route_words(route) for route in service.routes),
        policy=service.policy.to_settings(),
        policy_words=policy_words(service.policy),
        groups=groups,
        is_weighed=service.is_weighed,
        window_seconds=recent.seconds,
        calls_per_second=_rate(recent.calls, recent.seconds),
        calls_in_window=recent.calls,
        failures_in_window=recent.failures,
        calls=counts.calls,
        in_flight=counts.in_flight,
        retries=counts.retries,
        ejections=counts.ejections,
        statuses=dict(counts.ended.statuses),
        statuses_in_window=dict(recent.ended.statuses),
        latency_ms=recent.ended.percentiles,
        methods=_methods(counts, recent),
        breakers=counts.breakers,
        even_share=1 / len(takes_calls) if takes_calls else None,
        targets=tuple(
            _target(
                who,
                target,
                NO_ANSWER if state == "serving" and who.address in silent else state,
                wanted.get(target.group) if state == "serving" else None,
                counts,
                recent,
                journal,
                silences,
                readings,
            )
            for (target, who), state in zip(known, states, strict=True)
        ),
        former=tuple(_former(gone, journal)),
        shadowed=tuple(shadowed),
        stalled=silences.stalled.get(service.name),
        busiest=_busiest(service, recent, takes_calls, journal),
    )


def _wanted_shares(service: Service, groups: Iterable[GroupReport]) -> dict[str, float]:
    """What each serving target of a group is to have."""
    if service.policy.balancing.prefer_zone and len({target.zone for target in service.targets}) > 1:
        return {}
    return {
        group.name: group.wanted_share / group.serving
        for group in groups
        if group.serving and group.wanted_share is not None
    }


def _target(
    who: TargetId,
    target: Target,
    state: str,
    wanted_share: float | None,
    counts: ServiceCounts,
    recent: ServiceWindow,
    journal: Journal,
    silences: Silences,
    readings: Sequence[Reading],
) -> TargetReport:
    silent = silences.unanswered.get(who.service, {}).get(who.address)
    now = counts.targets.get(who.address, TargetCounts())
    lately = recent.targets.get(who.address, TargetWindow())
    return TargetReport(
        address=who.address,
        group=target.group,
        zone=target.zone,
        task=target.task,
        state=state,
        share=lately.share,
        wanted_share=wanted_share,
        calls_per_second=_rate(lately.calls, recent.seconds),
        failures_in_window=lately.failures,
        calls=now.calls,
        failures=now.failures,
        in_flight=now.in_flight,
        connections=now.connections,
        events=tuple(journal.targets.get(who, ())),
        success_rate=lately.success_rate,
        wait=wait_of(who.service, who.address, readings) if readings else None,
        silent_since=None if silent is None else silent.since,
    )


def _busiest(
    service: Service, recent: ServiceWindow, takes_calls: Collection[str], journal: Journal
) -> tuple[str, float] | None:
    """None also while a target is so new, or so lately back, that its part is not whole yet."""
    calls = {each: window.calls for each, window in recent.targets.items()}
    found = uneven(service, calls, frozenset(takes_calls))
    if found is None:
        return None
    now = journal.now()
    for target in service.targets:
        events = journal.targets.get(identity(service.name, target))
        if events and now - events[-1].at < SETTLING_SECONDS:
            return None
    return found


def _methods(counts: ServiceCounts, recent: ServiceWindow) -> tuple[MethodReport, ...]:
    """The busiest first."""

    def report(method: str, ended: Ended) -> MethodReport:
        lately = recent.methods.get(method, EndedWindow())
        calls = sum(ended.statuses.values())
        rate = _rate(lately.calls, recent.seconds)
        return MethodReport(method, calls, rate, dict(lately.statuses), lately.percentiles)

    found = (report(method, ended) for method, ended in counts.methods.items())
    return tuple(sorted(found, key=lambda each: (-each.calls_per_second, -each.calls, each.method)))[:MAX_METHODS]


def _held_back(service: Service, waiting: Collection[Newcomer]) -> frozenset[Newcomer]:
    """A service that has no other target sends calls even to those that wait."""
    if not waiting:
        return frozenset()
    (admitted,) = admitted_only(Document((service,)), waiting).services
    return frozenset(map(Newcomer.of, service.targets)) - frozenset(map(Newcomer.of, admitted.targets))


def _state(target: Target, who: TargetId, waiting: Collection[Newcomer], counts: ServiceCounts) -> str:
    if target.state is TargetState.DRAINING:
        return "draining"
    if waiting and Newcomer.of(target) in waiting:
        return "not admitted"
    now = counts.targets.get(who.address)
    if now is None:
        return "serving"
    return "ejected" if now.ejected else "unhealthy" if now.unhealthy else "serving"


def _former(gone: Sequence[TargetId], journal: Journal) -> Iterator[FormerTarget]:
    for each in reversed(gone[-MAX_FORMER:]):
        yield FormerTarget(each.address, each.task, tuple(journal.targets[each]))


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0
