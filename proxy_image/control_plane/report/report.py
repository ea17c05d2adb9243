"""The report: all that the page, the API and the status table show, as data. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from grpc_lb_contract import Diagnostics, Document, RejectedLabel, Service, ShadowedRoute
from proxy_image.control_plane.readiness import Newcomer
from proxy_image.control_plane.report.call_problems import CallFigures, call_problems
from proxy_image.control_plane.report.label_problems import label_problems
from proxy_image.control_plane.report.policy_summary import fault_words
from proxy_image.control_plane.report.problems import (
    Problem,
    Standing,
    Urgency,
    fault_problems,
    service_problems,
    standing_problems,
)
from proxy_image.control_plane.report.service_report import ServiceReport, service_report
from proxy_image.control_plane.stats.envoy_stats import Reading
from proxy_image.control_plane.stats.histogram import difference, percentiles
from proxy_image.control_plane.stats.history.entries import Change
from proxy_image.control_plane.stats.history.journal import Journal
from proxy_image.control_plane.stats.last_hour.hour import Usual
from proxy_image.control_plane.stats.silent_targets import NO_SILENCES, Silences
from proxy_image.control_plane.stats.window import EndedWindow, ended_window, window_of
from proxy_image.control_plane.xds.proxyless.client_register import ClientGroup, ClientRegister
from proxy_image.control_plane.xds.proxyless.unsupported_settings import Unfollowed


@dataclass(frozen=True, slots=True)
class ProxylessCalls:
    """Calls since this control plane began, by the client's zone and kind; outcome: ok, error, or dropped by the
    client."""

    service: str
    zone: str
    client: str
    outcome: str
    calls: int


@dataclass(frozen=True, slots=True)
class Proxyless:
    """gRPC clients that call the tasks directly: who they are, what they told of, what they cannot follow."""

    clients: tuple[ClientGroup, ...] = ()
    calls: tuple[ProxylessCalls, ...] = ()
    unfollowed: tuple[Unfollowed, ...] = ()


NO_CLIENTS = Proxyless()

# Of more targets, nobody reads how long calls are at each.
MAX_TIMED = 1_000


@dataclass(frozen=True, slots=True)
class Report:
    """task and zone: the balancer's own. at: seconds since 1970. unrouted_in_window: calls that no
    service took, by gRPC status. latency_ms: of all calls of all services, as the clients see it.
    """

    task: str
    zone: str
    scope: str
    at: float
    generation: str | None
    origin: str
    target_list_age_seconds: float | None
    grpc_clients: int
    proxyless: Proxyless
    has_envoy: bool
    """False where the balancer serves clients without a proxy alone."""
    envoy_connected: bool
    envoy_uptime_seconds: int | None
    connections: int
    in_flight: int
    calls_per_second: float
    failures_in_window: int
    window_seconds: float
    unrouted_in_window: Mapping[str, int]
    latency_ms: tuple[float | None, ...]
    services: tuple[ServiceReport, ...]
    """Those that have a problem first."""
    problems: tuple[Problem, ...]
    changes: tuple[Change, ...]
    rejected_labels: tuple[RejectedLabel, ...]
    rejected_label_count: int
    shadowed_routes: tuple[ShadowedRoute, ...]
    shadowed_route_count: int

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
    proxyless: Proxyless = NO_CLIENTS,
    task: str,
    zone: str,
    silences: Silences = NO_SILENCES,
    usual: Mapping[str, Usual] = MappingProxyType({}),
    more_problems: Sequence[Problem] = (),
) -> Report:
    """usual: how each service does on most minutes; more_problems: those of other balancers."""
    window = window_of(readings)
    newest = readings[-1] if readings else None
    notes = Diagnostics() if document is None else document.diagnostics
    documented = () if document is None else document.services
    former = journal.former()
    shadowed: dict[str, list[ShadowedRoute]] = {}
    for each in notes.shadowed:
        shadowed.setdefault(each.loser, []).append(each)
    few = sum(len(service.targets) for service in documented) <= MAX_TIMED
    services = tuple(
        service_report(
            service,
            waiting,
            newest,
            window,
            journal,
            former.get(service.name, ()),
            silences=silences,
            readings=_within(window, readings) if few else (),
            shadowed=shadowed.get(service.name, ()),
        )
        for service in documented
    )
    latency_ms: tuple[float | None, ...] = (None, None, None)
    unrouted = EndedWindow()
    if window is not None:
        unrouted = ended_window(window[0].unrouted, window[1].unrouted)
        latency_ms = percentiles(difference(window[0].latency, window[1].latency))
    if len(services) == 1 and services[0].latency_ms[0] is None:
        # Envoy times all calls together; where there is one service, they are its own.
        services = (replace(services[0], latency_ms=latency_ms),)
    # Errors come first, by luck of the alphabet.
    problems = sorted(
        [*_problems(standing, services, documented, notes, silences, usual, at), *more_problems],
        key=lambda problem: (problem.severity.value, problem.urgency),
    )
    return Report(
        task=task,
        zone=zone,
        scope=_scope(task, zone),
        at=at,
        generation=standing.generation,
        origin=standing.origin.value,
        target_list_age_seconds=standing.target_list_age_seconds,
        grpc_clients=grpc_clients,
        proxyless=proxyless,
        has_envoy=standing.has_envoy,
        envoy_connected=standing.envoy_connected,
        envoy_uptime_seconds=None if newest is None or not standing.has_envoy else newest.uptime_seconds,
        connections=0 if newest is None else newest.connections,
        in_flight=0 if newest is None else newest.in_flight,
        calls_per_second=sum(service.calls_per_second for service in services),
        failures_in_window=sum(service.failures_in_window for service in services),
        window_seconds=0.0 if window is None else window[1].at - window[0].at,
        unrouted_in_window=dict(unrouted.statuses),
        latency_ms=latency_ms,
        services=_worst_first(services, problems),
        problems=tuple(problems),
        changes=tuple(reversed(journal.changes)),
        rejected_labels=notes.rejected_labels,
        rejected_label_count=notes.rejected_count,
        shadowed_routes=notes.shadowed,
        shadowed_route_count=notes.shadowed_count,
    )


def proxyless_of(clients: ClientRegister) -> Proxyless:
    counts = clients.calls.counts.items()
    calls = tuple(ProxylessCalls(*key, count) for key, count in sorted(counts))
    return Proxyless(clients.groups, calls, clients.unfollowed)


def _worst_first(services: Sequence[ServiceReport], problems: Sequence[Problem]) -> tuple[ServiceReport, ...]:
    """Services with a problem of this balancer, in the order of the problems, then the others by name, among which are
    those that nobody calls.
    """
    named = [each.service for each in problems if not each.of_another and each.urgency != Urgency.NOBODY_CALLS]
    place = {name: number for number, name in reversed(list(enumerate(named)))}
    return tuple(sorted(services, key=lambda service: (place.get(service.name, len(named)), service.name)))


def _scope(task: str, zone: str) -> str:
    where = f" in {zone}" if zone else ""
    return (
        f"This is balancer {task}{where}: its own calls and its own view of the targets, except for "
        "what is about all balancers."
    )


def _within(window: tuple[Reading, Reading] | None, readings: Sequence[Reading]) -> Sequence[Reading]:
    return () if window is None else [each for each in readings if each.at >= window[0].at]


def _call_figures(service: ServiceReport, silences: Silences, usual: Mapping[str, Usual]) -> CallFigures:
    return CallFigures(
        service.name,
        service.window_seconds,
        service.calls_in_window,
        service.failures_in_window,
        service.statuses_in_window,
        service.in_flight,
        # Envoy times calls where it counts how they end, and those of all services together.
        sum(service.statuses_in_window.values()) or service.calls_in_window,
        service.latency_ms[0],
        service.busiest,
        silences.unanswered.get(service.name, {}),
        service.stalled,
        usual.get(service.name, Usual()),
    )


def _problems(
    standing: Standing,
    services: Collection[ServiceReport],
    documented: Collection[Service],
    notes: Diagnostics,
    silences: Silences,
    usual: Mapping[str, Usual],
    at: float,
) -> Iterator[Problem]:
    yield from standing_problems(standing)
    for each in documented:
        yield from fault_problems(each.name, tuple(fault_words(each.policy.fault)))
    for service in services:
        states = [(target.address, target.state) for target in service.targets]
        breakers = [(breaker.name, breaker.used, breaker.limit) for breaker in service.breakers]
        yield from service_problems(service.name, states, breakers, fails=service.failures_in_window > 0)
        yield from call_problems(_call_figures(service, silences, usual), at)
    yield from label_problems(notes)
