"""The report: all that the page, the API and the status table show, as data. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from grpc_lb_contract import Document, LostRoute, Notes, Overrides, Refusal, Route, Service, Target, TargetState
from proxy_image.control_plane.admission import Newcomer, admitted_only
from proxy_image.control_plane.watch.journal import Change, Journal, TargetEvent, TargetId, What, identity
from proxy_image.control_plane.watch.label_problems import label_problems
from proxy_image.control_plane.watch.problems import Problem, Standing, service_problems, standing_problems
from proxy_image.control_plane.watch.reading import Breaker, Reading, ServiceCounts, TargetCounts
from proxy_image.control_plane.watch.window import (
    ServiceWindow,
    TargetWindow,
    difference,
    percentiles,
    service_window,
    window_of,
)

SCOPE = (
    "This is one balancer task: its own calls, its own view of the targets. Other balancers have pages of their own."
)
MOST_FORMER = 50


@dataclass(frozen=True, slots=True)
class TargetReport:
    """state: serving, draining, ejected, or "not admitted". share: of the service's calls in the window, 0 to 1."""

    address: str
    group: str
    zone: str
    task: str
    state: str
    share: float | None
    calls_per_second: float
    failures_in_window: int
    calls: int
    failures: int
    in_flight: int
    connections: int
    events: tuple[TargetEvent, ...]


@dataclass(frozen=True, slots=True)
class FormerTarget:
    address: str
    task: str
    events: tuple[TargetEvent, ...]


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """failures_in_window: as clients saw them; those of targets are of tries, which another target may have made good.

    latency_ms: p50, p95, p99 of the window; None where nothing ended, or Envoy does not time services by themselves and
    this is one of several.
    """

    name: str
    routes: tuple[str, ...]
    groups: tuple[tuple[str, int], ...]
    window_seconds: float
    calls_per_second: float
    calls_in_window: int
    failures_in_window: int
    calls: int
    in_flight: int
    retries: int
    ejections: int
    latency_ms: tuple[float | None, ...]
    breakers: tuple[Breaker, ...]
    even_share: float | None
    targets: tuple[TargetReport, ...]
    former: tuple[FormerTarget, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """at: seconds since 1970. latency_ms: of all calls of all services, as the clients see it."""

    scope: str
    at: float
    generation: str | None
    origin: str
    confirmed_seconds_ago: float | None
    grpc_clients: int
    envoy_connected: bool
    envoy_uptime_seconds: int | None
    connections: int
    in_flight: int
    calls_per_second: float
    failures_in_window: int
    window_seconds: float
    latency_ms: tuple[float | None, ...]
    services: tuple[ServiceReport, ...]
    problems: tuple[Problem, ...]
    changes: tuple[Change, ...]
    refused_labels: tuple[Refusal, ...]
    refused_label_count: int
    route_conflicts: tuple[LostRoute, ...]
    route_conflict_count: int

    def service(self, name: str) -> ServiceReport | None:
        return next((service for service in self.services if service.name == name), None)


def report(
    document: Document | None,
    waiting: Collection[Newcomer],
    readings: Sequence[Reading],
    journal: Journal,
    standing: Standing,
    *,
    at: float,
    grpc_clients: int,
) -> Report:
    window = window_of(readings)
    newest = readings[-1] if readings else None
    notes = Notes() if document is None else document.notes
    documented = () if document is None else document.services
    services = tuple(_service(service, _held_back(service, waiting), newest, window, journal) for service in documented)
    latency_ms: tuple[float | None, ...] = (None, None, None)
    if window is not None:
        latency_ms = percentiles(difference(window[0].latency, window[1].latency))
    if len(services) == 1 and services[0].latency_ms[0] is None:
        # Envoy times all calls together; where there is one service, they are its own.
        services = (replace(services[0], latency_ms=latency_ms),)
    return Report(
        scope=SCOPE,
        at=at,
        generation=standing.generation,
        origin=standing.origin.value,
        confirmed_seconds_ago=standing.confirmed_seconds_ago,
        grpc_clients=grpc_clients,
        envoy_connected=standing.envoy_connected,
        envoy_uptime_seconds=None if newest is None else newest.uptime_seconds,
        connections=0 if newest is None else newest.connections,
        in_flight=0 if newest is None else newest.in_flight,
        calls_per_second=sum(service.calls_per_second for service in services),
        failures_in_window=sum(service.failures_in_window for service in services),
        window_seconds=0.0 if window is None else window[1].at - window[0].at,
        latency_ms=latency_ms,
        services=services,
        problems=tuple(_problems(standing, services, notes)),
        changes=tuple(reversed(journal.changes)),
        refused_labels=notes.refusals,
        refused_label_count=notes.refusal_count,
        route_conflicts=notes.lost,
        route_conflict_count=notes.lost_count,
    )


def _problems(standing: Standing, services: Collection[ServiceReport], notes: Notes) -> Iterator[Problem]:
    found = [*standing_problems(standing)]
    for service in services:
        states = [(target.address, target.state) for target in service.targets]
        breakers = [(breaker.name, breaker.used, breaker.limit) for breaker in service.breakers]
        found += service_problems(service.name, states, breakers)
    found += label_problems(notes)
    yield from sorted(found, key=lambda problem: problem.severity.value)  # errors come first, by luck of the alphabet


def _service(
    service: Service,
    waiting: Collection[Newcomer],
    newest: Reading | None,
    window: tuple[Reading, Reading] | None,
    journal: Journal,
) -> ServiceReport:
    counts = ServiceCounts({}) if newest is None else newest.services.get(service.name, ServiceCounts({}))
    recent = (
        ServiceWindow(0.0, 0, 0, {}, (None, None, None)) if window is None else service_window(service.name, *window)
    )
    targets = tuple(_target(service.name, target, waiting, counts, recent, journal) for target in service.targets)
    serving = sum(target.state == "serving" for target in targets)
    return ServiceReport(
        name=service.name,
        routes=tuple(_route(route) for route in service.routes),
        groups=tuple((group.name, group.weight) for group in service.groups),
        window_seconds=recent.seconds,
        calls_per_second=_rate(recent.calls, recent.seconds),
        calls_in_window=recent.calls,
        failures_in_window=recent.failures,
        calls=counts.calls,
        in_flight=counts.in_flight,
        retries=counts.retries,
        ejections=counts.ejections,
        latency_ms=recent.percentiles,
        breakers=counts.breakers,
        even_share=1 / serving if serving else None,
        targets=targets,
        former=tuple(_former(service, journal)),
    )


def _target(
    service: str,
    target: Target,
    waiting: Collection[Newcomer],
    counts: ServiceCounts,
    recent: ServiceWindow,
    journal: Journal,
) -> TargetReport:
    who = identity(service, target)
    now = counts.targets.get(who.address, TargetCounts())
    lately = recent.targets.get(who.address, TargetWindow())
    return TargetReport(
        address=who.address,
        group=target.group,
        zone=target.zone,
        task=target.task,
        state=_state(target, Newcomer.of(target) in waiting, now),
        share=lately.share,
        calls_per_second=_rate(lately.calls, recent.seconds),
        failures_in_window=lately.failures,
        calls=now.calls,
        failures=now.failures,
        in_flight=now.in_flight,
        connections=now.connections,
        events=tuple(journal.targets.get(who, ())),
    )


def _held_back(service: Service, waiting: Collection[Newcomer]) -> frozenset[Newcomer]:
    """A service that has no other target sends calls even to those that wait."""
    (admitted,) = admitted_only(Document((service,)), waiting).services
    return frozenset(map(Newcomer.of, service.targets)) - frozenset(map(Newcomer.of, admitted.targets))


def _state(target: Target, waits: bool, now: TargetCounts) -> str:
    if target.state is TargetState.DRAINING:
        return "draining"
    if waits:
        return "not admitted"
    return "ejected" if now.ejected else "serving"


def _former(service: Service, journal: Journal) -> Iterator[FormerTarget]:
    present = {identity(service.name, target) for target in service.targets}
    gone: list[TargetId] = [each for each in journal.targets if each.service == service.name and each not in present]
    gone.sort(key=lambda each: -journal.targets[each][-1].at)
    for each in gone[:MOST_FORMER]:
        if journal.targets[each][-1].what is What.LEFT:
            yield FormerTarget(each.address, each.task, tuple(journal.targets[each]))


def _route(route: Route) -> str:
    host = "any host" if route.host == "*" else route.host
    called = "any gRPC service" if route.grpc_service == "*" else route.grpc_service
    said = [f"{host} / {called}" if route.method == "*" else f"{host} / {called} / {route.method}"]
    if route.metadata:
        said.append(f"if {', '.join(map(str, route.metadata))}")
    if route.priority:
        said.append(f"priority {route.priority}")
    if route.overrides != Overrides():
        said.append(", ".join(f"{name} {text}" for name, text in route.overrides.to_settings().items()))
    return "; ".join(said)


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0
