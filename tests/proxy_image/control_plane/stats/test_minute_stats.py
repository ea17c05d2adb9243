"""What services did, gathered from readings: each call once, and an imbalance only where there is one."""

from __future__ import annotations

import socket
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest

from grpc_lb_contract import Balancing, Document, Group, Method, Route, Service, Target, TrafficPolicy
from proxy_image.control_plane.readiness import Newcomer
from proxy_image.control_plane.stats.envoy_stats import Breaker, Reading, Received, ServiceCounts, TargetCounts
from proxy_image.control_plane.stats.minute_stats import ENOUGH_CALLS, Figures, Tally, imbalance
from proxy_image.control_plane.stats.reported_calls import reported_calls
from proxy_image.control_plane.stats.watcher import EnvoyStatistics
from tests.proxy_image.control_plane.support import WHO, backends, balancer, rng, service, target

NOBODY: frozenset[Newcomer] = frozenset()


def address(port: int) -> str:
    return f"127.0.0.1:{port}"


async def failed_calls(channel: grpc.aio.Channel, calls: int) -> int:
    call: Any = channel.unary_unary(WHO)
    failed = 0
    for _ in range(calls):
        try:
            await call(b"", timeout=60)
        except grpc.RpcError:
            failed += 1
    return failed


@pytest.mark.parametrize("lives", [True, False])
async def test_a_call_that_meets_an_unreachable_target_is_one_call(tmp_path: Path, lives: bool) -> None:
    """GIVEN a target that cannot be reached, WHEN calls come, THEN each counts once, and fails only where there is no
    other target that took it."""
    async with backends("a") as (a,):
        with socket.socket() as dead:
            dead.bind(("127.0.0.1", 0))  # and nobody listens
            document = rng(target(dead.getsockname()[1]), *([a.target] if lives else []))
            async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
                statistics = EnvoyStatistics(envoy.settings.admin_socket)
                before, tally = statistics.reading(), Tally()
                failed = 0
                for _ in range(4):
                    failed += await failed_calls(channel, 10)
                    after = statistics.reading()
                    tally.add(before, after, document, NOBODY)
                    before = after
                figures = tally.take(document)["rng"]
                assert (figures.calls, figures.failures) == (40, failed)
                assert failed == (0 if lives else 40)


async def test_a_call_that_finds_no_target_is_a_failed_call(tmp_path: Path) -> None:
    document = Document((Service("rng", groups=(Group("rng"),)),))
    async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
        statistics = EnvoyStatistics(envoy.settings.admin_socket)
        before, tally = statistics.reading(), Tally()
        assert await failed_calls(channel, 5) == 5
        tally.add(before, statistics.reading(), document, NOBODY)
        assert tally.take(document)["rng"] == Figures(5, 5, 5.0, 0, 0, 0, 0.0, None)


def reading(
    calls: dict[int, int],
    *,
    at: float = 0.0,
    ejected: tuple[int, ...] = (),
    unhealthy: tuple[int, ...] = (),
    received: dict[str, Received] | None = None,
    uptime: int | None = None,
    **more: Any,
) -> Reading:
    targets = {
        address(port): TargetCounts(calls=count, ejected=port in ejected, unhealthy=port in unhealthy)
        for port, count in calls.items()
    }
    total = sum(calls.values())
    counts = ServiceCounts(targets, calls=total, received=received or {"rng": Received(total, total)}, **more)
    return Reading(at, {"rng": counts}, uptime_seconds=round(at) if uptime is None else uptime)


def told(*readings: Reading, document: Document | None = None) -> Figures:
    """The figures of the last of some minutes, each of which ends with a reading."""
    document = rng(target(1), target(2)) if document is None else document
    tally = Tally()
    taken = Figures(0, 0)
    for before, after in pairwise(readings):
        tally.add(before, after, document, NOBODY)
        taken = tally.take(document)["rng"]
    return taken


def test_all_calls_to_one_of_two_targets_is_an_imbalance_of_2() -> None:
    assert told(reading({1: 0, 2: 0}), reading({1: 1, 2: 1}), reading({1: 201, 2: 1})).imbalance == 2.0
    assert told(reading({1: 0, 2: 0}), reading({1: 1, 2: 1}), reading({1: 101, 2: 101})).imbalance == 1.0


def test_a_minute_in_which_a_target_came_back_has_no_imbalance() -> None:
    """GIVEN a target that was left alone for part of the minute, THEN its few calls are nobody's fault."""
    first, ejected = reading({1: 0, 2: 0}), reading({1: 100, 2: 10}, ejected=(2,))
    assert told(first, ejected).imbalance is None
    figures = told(first, reading({1: 1, 2: 1}), ejected)
    assert (figures.imbalance, figures.ejected, figures.serving, figures.calls_per_target) == (None, 1, 1, 108)
    back = reading({1: 300, 2: 40})
    assert told(first, ejected, back).imbalance is None


def test_targets_that_do_not_pass_their_health_checks_take_no_calls() -> None:
    """GIVEN a service that asks for health checks, which no target passes, THEN it is without a target, as with
    ejected ones, though none is ejected."""
    figures = told(reading({1: 0, 2: 0}), reading({1: 0, 2: 0}, unhealthy=(1, 2)))
    assert (figures.serving, figures.ejected) == (0, 0)
    figures = told(reading({1: 0, 2: 0}), reading({1: 60, 2: 0}, unhealthy=(2,)))
    assert (figures.serving, figures.calls_per_target) == (1, 60)


def test_another_envoy_counts_from_the_beginning() -> None:
    old = reading({1: 500, 2: 500}, at=100.0)
    # The new one has counted more than the old one had, which a fall would not show.
    assert told(old, reading({1: 600, 2: 600}, at=115.0, uptime=5)).calls == 1200
    assert told(old, reading({1: 600, 2: 600}, at=115.0)).calls == 200


def test_a_cluster_that_is_gone_takes_no_call_back_and_gives_none_twice() -> None:
    two = {"rng": Received(1000, 1000), "rng/canary": Received(100, 100)}
    one = {"rng": Received(1007, 1007)}
    assert told(reading({1: 550, 2: 550}, received=two), reading({1: 550, 2: 550}, received=one)).calls == 7


def test_a_call_that_waits_to_be_tried_again_is_counted_when_it_is() -> None:
    waiting = reading({1: 10, 2: 10}, received={"rng": Received(19, 20)})
    again = reading({1: 11, 2: 10}, received={"rng": Received(20, 21)})
    before = reading({1: 10, 2: 10})
    assert told(before, waiting).calls == 0
    assert told(before, waiting, again).calls == 0


def test_a_limit_that_was_met_counts_as_used_up() -> None:
    some = (Breaker("calls", 3, 10), Breaker("connections", 1, 4))
    assert told(reading({1: 0}), reading({1: 1}, breakers=some)).saturation == 30
    assert told(reading({1: 0}), reading({1: 1}, breakers=some, overflows=1)).saturation == 100
    assert told(reading({1: 0}), reading({1: 1})).saturation == 0


def test_calls_per_target_without_a_target_are_those_that_one_would_get() -> None:
    assert told(reading({}), reading({}, received={"rng": Received(9, 0)}), document=rng()).calls_per_target == 9


def test_a_service_that_left_the_document_is_told_of_while_it_had_calls() -> None:
    tally = Tally()
    tally.add(reading({1: 0}), reading({1: 3}), Document(), NOBODY)
    assert tally.take(Document()) == {"rng": Figures(3, 0)}
    assert tally.take(Document()) == {}


def with_policy(balancing: Balancing) -> Service:
    return Service("rng", (Route(),), (Group("rng"),), (target(1), target(2)), TrafficPolicy(balancing=balancing))


@pytest.mark.parametrize(
    "balancing",
    [Balancing(Method.MAGLEV, metadata_key="user"), Balancing(prefer_zone=True)],
)
def test_who_does_not_mean_to_be_even_has_no_imbalance(balancing: Balancing) -> None:
    serving = frozenset({address(1), address(2)})
    assert imbalance(with_policy(Balancing()), {address(1): 200}, serving) == 2.0
    assert imbalance(with_policy(balancing), {address(1): 200}, serving) is None


def test_too_few_calls_say_nothing() -> None:
    serving = frozenset({address(1), address(2)})
    even = with_policy(Balancing())
    assert imbalance(even, {address(1): 2 * ENOUGH_CALLS - 1}, serving) is None
    assert imbalance(even, {address(1): 2 * ENOUGH_CALLS}, serving) == 2.0
    assert imbalance(even, {}, serving) is None
    assert imbalance(even, {address(1): 1000}, frozenset({address(1)})) is None


def weighed(*targets: Target) -> Service:
    return Service("rng", (Route(),), (Group("canary", 10), Group("rng", 90)), targets)


def test_a_canary_that_gets_its_weight_is_balanced() -> None:
    """GIVEN a canary of one target that weighs 10 beside two that weigh 90, THEN fair is 10, 45 and 45 of 100."""
    targets = (target(1, group="canary"), target(2, group="rng"), target(3, group="rng"))
    serving = frozenset(map(address, (1, 2, 3)))
    fair = {address(1): 100, address(2): 450, address(3): 450}
    assert imbalance(weighed(*targets), fair, serving) == 1.0
    assert imbalance(weighed(*targets), {**fair, address(1): 300}, serving) == pytest.approx(300 / 120)
    # Without the canary's target its calls go to the others.
    assert imbalance(weighed(*targets[1:]), {address(2): 500, address(3): 500}, serving - {address(1)}) == 1.0


def test_services_are_told_apart() -> None:
    document = Document((service("orders", target(1, group="orders")), service("rng", target(2))))
    tally = Tally()
    now = Reading(0.0, {"orders": ServiceCounts({}, received={"orders": Received(4, 4)}), "rng": ServiceCounts({})})
    tally.add(Reading(0.0, {}), now, document, NOBODY)
    assert {name: figures.calls for name, figures in tally.take(document).items()} == {"orders": 4, "rng": 0}


@pytest.mark.parametrize(("errors", "failures"), [(50, 0), (51, 51), (100, 100)])
def test_a_service_that_ends_most_calls_of_proxyless_clients_with_an_error_fails(errors: int, failures: int) -> None:
    """Clients report no status, and a few errors are any service's good day."""
    counts = {("rng", "z1", "Python 1.85.1", "error"): errors, ("rng", "z1", "Go 1.85.0", "ok"): 100 - errors}
    before, after = Reading(0.0, {}, 0), Reading(60.0, {}, 60, reported=reported_calls(counts))
    tally, document = Tally(), rng(target(1))
    tally.add(before, after, document, NOBODY)
    figures = tally.take(document)["rng"]
    assert (figures.calls, figures.failures) == (100, failures)
    tally.add(after, after, document, NOBODY)
    assert tally.take(document)["rng"].failures == 0
