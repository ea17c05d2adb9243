"""What services did since the last report, summed over many readings of Envoy. No call is counted twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from grpc_lb_contract import Document, Service, TargetState
from grpc_lb_contract.policy.sections.balancing import HASHING
from proxy_image.control_plane.readiness import Newcomer, admitted_only
from proxy_image.control_plane.stats.envoy_stats import Reading, Received, ServiceCounts
from proxy_image.control_plane.stats.window import reported_window, service_window

# Were targets chosen by chance, 50 calls would come 14 % off the expected one time in three, and 50 % off in one of
# two thousand: an imbalance of 1.5 that lasts some minutes is none of chance's making.
ENOUGH_CALLS = 50


@dataclass(frozen=True, slots=True)
class Figures:
    """`calls_per_target` and what follows it are None for a service that has left the document."""

    calls: int
    failures: int
    calls_per_target: float | None = None
    serving: int | None = None
    draining: int | None = None
    ejected: int | None = None
    """The most that were seen at once."""
    saturation: float | None = None
    """The highest use of a limit that was seen, in percent: 100 where a call met one, 0 where there is none."""
    imbalance: float | None = None
    """How many times its fair share the busiest target got; None where that would say nothing (see `imbalance`)."""


@dataclass(slots=True)
class _Service:
    received: int = 0
    failures: int = 0
    reported: int = 0
    errors: int = 0
    by_target: Counter[str] = field(default_factory=Counter)
    saturation: float = 0.0
    serving: frozenset[str] | None = None
    ejected: int = 0
    steady: bool = False


class Tally:
    def __init__(self) -> None:
        self._services: dict[str, _Service] = {}

    def add(self, before: Reading, after: Reading, document: Document, waiting: Collection[Newcomer]) -> None:
        """Count what happened between two readings, and look at how the services stand at the second."""
        if after.is_of_another_envoy(before):
            before = Reading(before.at, {}, reported=before.reported)
        for name in after.services.keys() | after.reported.keys():
            self._count(name, before, after)
        for service in document.services:
            self._look(service, after.services.get(service.name, ServiceCounts({})), waiting)

    def take(self, document: Document) -> dict[str, Figures]:
        """The figures of each service of the document, and of others that had calls. Counts start again at 0."""
        documented = {service.name: service for service in document.services}
        found = {name: _figures(documented.get(name), tally) for name, tally in self._services.items()}
        self._services = {
            # A call that waits to be retried when this is told is in the next figures.
            name: _Service(received=min(0, tally.received), serving=tally.serving, steady=True)
            for name, tally in self._services.items()
            if name in documented
        }
        return {name: figures for name, figures in found.items() if name in documented or figures.calls}

    def _count(self, name: str, before: Reading, after: Reading) -> None:
        tally = self._services.setdefault(name, _Service())
        nothing = ServiceCounts({})
        old, new = before.services.get(name, nothing), after.services.get(name, nothing)
        reported = reported_window(name, before, after)
        tally.received += reported.calls
        tally.reported += reported.calls
        tally.errors += reported.errors
        tally.received += sum(_grown(old.received.get(cluster), now) for cluster, now in new.received.items())
        window = service_window(name, before, after)
        tally.failures += window.failures
        tally.by_target.update({address: target.calls for address, target in window.targets.items()})
        used = [100 * breaker.used / breaker.limit for breaker in new.breakers]
        tally.saturation = max(tally.saturation, *used, 100.0 if new.overflows > old.overflows else 0.0)

    def _look(self, service: Service, counts: ServiceCounts, waiting: Collection[Newcomer]) -> None:
        tally = self._services.setdefault(service.name, _Service())
        (admitted,) = admitted_only(Document((service,)), waiting).services
        taking = {each.address for each in admitted.targets if _takes_calls(each.state)}
        known = {address: counts.targets[address] for address in taking & counts.targets.keys()}
        ejected = {address for address, target in known.items() if target.ejected}
        serving = frozenset(taking - ejected - {address for address, target in known.items() if target.unhealthy})
        tally.steady = tally.steady and serving == tally.serving
        tally.serving, tally.ejected = serving, max(tally.ejected, len(ejected))


def _figures(service: Service | None, tally: _Service) -> Figures:
    calls = max(0, tally.received)
    # Of an error that a client reports nobody knows the status; a service that ends most calls with one fails.
    failures = tally.failures + (tally.errors if 2 * tally.errors > tally.reported else 0)
    if service is None or tally.serving is None:
        return Figures(calls, failures)
    serving = len(tally.serving)
    return Figures(
        calls,
        failures,
        # Without any target, the calls that one would get: what scales on this figure starts one.
        calls_per_target=calls / max(1, serving),
        serving=serving,
        draining=sum(not _takes_calls(target.state) for target in service.targets),
        ejected=tally.ejected,
        saturation=tally.saturation,
        imbalance=imbalance(service, tally.by_target, tally.serving) if tally.steady else None,
    )


def imbalance(service: Service, calls: Mapping[str, int], serving: frozenset[str]) -> float | None:
    """How many times its fair share the busiest target got: 1 is even, and with two targets 2 is all calls to one.

    None for one target, for a policy that does not mean to be even (hashing, slow start, a preferred zone), and where
    no target may expect ENOUGH_CALLS. For targets that came or went meanwhile it is not to be asked.
    """
    found = uneven(service, calls, serving)
    return None if found is None else found[1]


def uneven(service: Service, calls: Mapping[str, int], serving: frozenset[str]) -> tuple[str, float] | None:
    """The busiest target beside what `imbalance` gives."""
    balancing = service.policy.balancing
    by_policy = balancing.method in HASHING or balancing.slow_start is not None or balancing.prefer_zone
    total = sum(calls.get(address, 0) for address in serving)
    if by_policy or len(serving) < 2 or not total:
        return None
    expected = {address: share * total for address, share in _fair_shares(service, serving).items()}
    ratios = [(calls.get(address, 0) / many, address) for address, many in expected.items() if many >= ENOUGH_CALLS]
    if not ratios:
        return None
    ratio, address = max(ratios)
    return address, ratio


def _fair_shares(service: Service, serving: frozenset[str]) -> dict[str, float]:
    """As the groups' weights say, or the same for each where nobody set one."""
    groups = {target.address: target.group for target in service.targets}
    many = Counter(groups[address] for address in serving)
    if not service.is_weighed:
        return dict.fromkeys(serving, 1 / len(serving))
    weights = {group.name: group.weight for group in service.groups if many[group.name]}
    total = sum(weights.values())
    return {address: weights[groups[address]] / total / many[groups[address]] for address in serving} if total else {}


def _takes_calls(state: TargetState) -> bool:
    return state is TargetState.SERVING


def _grown(before: Received | None, after: Received) -> int:
    return after.calls if before is None or after.sent < before.sent else after.calls - before.calls
