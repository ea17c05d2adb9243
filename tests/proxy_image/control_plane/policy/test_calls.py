"""Retries, deadlines, rates and faults, where the service's owner has asked for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from grpc_lb_contract import (
    Deadline,
    Document,
    Fault,
    RateLimit,
    Retry,
    RetryStatus,
    Route,
    Service,
    Status,
    Target,
    TrafficPolicy,
)
from tests.proxy_image.control_plane.calls import channel_to, failure_of, reads, settled, start
from tests.proxy_image.control_plane.policies import codes, ms, treated
from tests.proxy_image.control_plane.support import STAY, WHO, Backend, Envoy, backends, balancer, eventually, service
from tests.waiting import PATIENCE_SECONDS

OK = grpc.StatusCode.OK
ACCEPTED_ROUTES = "http.calls.rds.calls.update_success"
SIGMAS = 5


def retried(*statuses: RetryStatus, **more: Any) -> TrafficPolicy:
    return TrafficPolicy(retry=Retry(on=frozenset(statuses), **more))


def name_of(status: RetryStatus) -> str:
    return status.value.lower().replace("_", "-")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def retrying(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Backend, Backend, Envoy]]:
    """For each status a service that retries it, all in one balancer with the same two targets."""

    def service_for(status: RetryStatus, *targets: Target) -> Service:
        name = name_of(status)
        return replace(service(name, *targets, routes=[Route(f"{name}.test")]), policy=retried(status))

    async with backends("a", "b") as (a, b):
        document = Document(tuple(service_for(status, a.target, b.target) for status in RetryStatus))
        async with balancer(tmp_path_factory.mktemp("retrying"), document) as (_, envoy):
            yield a, b, envoy


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("status", list(RetryStatus))
async def test_a_status_on_the_list_is_tried_again_on_another_target(
    retrying: tuple[Backend, Backend, Envoy], status: RetryStatus
) -> None:
    a, b, envoy = retrying
    a.abort = grpc.StatusCode[status.value]
    before = a.seen["who"], b.seen["who"]
    async with channel_to(envoy, f"{name_of(status)}.test") as channel:
        assert await codes(channel, 10) == {OK: 10}
    assert a.seen["who"] > before[0]
    assert b.seen["who"] == before[1] + 10


async def test_a_status_that_is_not_on_the_list_is_not_tried_again(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, treated(retried(RetryStatus.INTERNAL), a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        a.abort = b.abort = grpc.StatusCode.UNAVAILABLE
        assert await codes(channel, 10) == {grpc.StatusCode.UNAVAILABLE: 10}
        assert a.seen["who"] + b.seen["who"] == 10


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_servers_see_a_failing_call_exactly_as_often_as_promised(tmp_path: Path, attempts: int) -> None:
    policy = retried(RetryStatus.UNAVAILABLE, max_retries=attempts)
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, treated(policy, a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        a.abort = b.abort = grpc.StatusCode.UNAVAILABLE
        for call in range(1, 6):
            assert await failure_of(channel) == grpc.StatusCode.UNAVAILABLE
            assert a.seen["who"] + b.seen["who"] == call * (1 + attempts)


async def test_without_attempts_not_even_a_call_that_no_server_has_seen_is_tried_again(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, treated(TrafficPolicy(retry=Retry(max_retries=0)), a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        await b.server.stop(0)
        found = await codes(channel, 10)
        assert found[grpc.StatusCode.UNAVAILABLE] > 0


async def test_the_budget_bounds_the_tries_under_way(tmp_path: Path) -> None:
    """GIVEN a budget of one try at a time, and long pauses, WHEN 10 calls fail at once THEN one may be retried."""
    policy = retried(
        RetryStatus.UNAVAILABLE, max_retries=1, base_backoff=ms(60_000), budget_percent=0.0, budget_min_concurrency=1
    )
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, treated(policy, a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        a.abort = b.abort = grpc.StatusCode.UNAVAILABLE
        calls: list[Any] = [start(channel.unary_unary(WHO), timeout=60) for _ in range(10)]
        assert await settled(calls, 9) == {grpc.StatusCode.UNAVAILABLE}
        assert a.seen["who"] + b.seen["who"] == 10
        assert await envoy.stat("cluster.rng.upstream_rq_retry_overflow") == 9
        for call in calls:
            call.cancel()


async def test_the_pause_before_a_second_try_grows_with_the_back_off(tmp_path: Path) -> None:
    """GIVEN pauses by chance of up to 400 ms, and of up to 1,600 ms, WHEN 20 calls each are retried side by side
    THEN they take 4 s and 16 s in sum, give or take."""
    calls = 20

    async def seconds_with(base_backoff: int) -> float:
        policy = retried(
            RetryStatus.UNAVAILABLE, max_retries=1, base_backoff=ms(base_backoff), budget_min_concurrency=calls
        )
        async with (
            backends("a") as (a,),
            balancer(tmp_path / str(base_backoff), treated(policy, a.target)) as (_, envoy),
            envoy.channel() as channel,
        ):
            a.abort = grpc.StatusCode.UNAVAILABLE

            async def seconds() -> float:
                started = time.monotonic()
                assert await failure_of(channel) == grpc.StatusCode.UNAVAILABLE
                return time.monotonic() - started

            took = sum(await asyncio.gather(*(seconds() for _ in range(calls))))
            assert a.seen["who"] == 2 * calls
            return took

    short, long = await asyncio.gather(seconds_with(400), seconds_with(1600))
    mean, sigma = calls * 0.2, sqrt(calls * 0.4**2 / 12)
    assert mean - SIGMAS * sigma < short < long
    assert 4 * (mean - SIGMAS * sigma) < long


async def test_a_try_that_takes_too_long_is_tried_again_on_another_target(tmp_path: Path) -> None:
    policy = TrafficPolicy(retry=Retry(per_try_timeout=ms(300)))
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, treated(policy, a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        b.release.set()
        for _ in range(2):
            call: Any = start(channel.unary_unary(STAY), timeout=PATIENCE_SECONDS)
            assert await call == b"b"
        assert a.seen["stay"] >= 1
        assert b.seen["stay"] == 2


async def test_the_ceiling_ends_a_call_whatever_its_own_deadline_is(tmp_path: Path) -> None:
    policy = TrafficPolicy(deadline=Deadline(max=ms(1500)))
    async with (
        backends("a") as (a,),
        balancer(tmp_path, treated(policy, a.target)) as (_, envoy),
        envoy.channel() as channel,
    ):

        async def ends_with(own: float | None) -> None:
            started = time.monotonic()
            ending: Any = start(channel.unary_unary(STAY), timeout=own)
            assert await ending.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            assert time.monotonic() - started > 1.4

        await asyncio.gather(ends_with(3600), ends_with(None))
        await eventually(lambda: reads(envoy.stat("cluster.rng.upstream_rq_active"), 0))

        # AND a shorter one of the caller's holds: it is the server's
        async def arrives() -> bool:
            await codes(channel, 1, timeout=1)
            return bool(a.time_left)

        await eventually(arrives, "a call that is not too late")
        assert a.time_left[0] == pytest.approx(0.6, abs=0.6)


async def test_the_default_deadline_is_the_servers_where_the_caller_has_none(tmp_path: Path) -> None:
    policy = TrafficPolicy(deadline=Deadline(default=ms(4000)))
    async with (
        backends("a") as (a,),
        balancer(tmp_path, treated(policy, a.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        await codes(channel, 1, timeout=None)
        await codes(channel, 1, timeout=60)
        assert a.time_left == [pytest.approx(2.1, abs=2), pytest.approx(35, abs=30)]
        call: Any = start(channel.unary_unary(STAY))
        assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_the_default_deadline_holds_in_the_balancer_too(tmp_path: Path) -> None:
    """GIVEN calls that reach no server in time THEN they end all the same."""
    policy = TrafficPolicy(deadline=Deadline(default=ms(200)), fault=Fault(delay=ms(3_600_000)))
    async with (
        backends("a") as (a,),
        balancer(tmp_path, treated(policy, a.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        call: Any = start(channel.unary_unary(WHO))
        assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert not a.seen


async def test_calls_beyond_the_rate_are_answered_resource_exhausted_and_reach_no_target(tmp_path: Path) -> None:
    policy = TrafficPolicy(rate_limit=RateLimit(calls_per_second=5, burst=10))
    async with (
        backends("a") as (a,),
        balancer(tmp_path, treated(policy, a.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        started = time.monotonic()
        calls: list[Any] = [start(channel.unary_unary(WHO), timeout=PATIENCE_SECONDS) for _ in range(50)]
        found = [await call.code() for call in calls]
        most = 10 + 5 * (1 + time.monotonic() - started)
        assert 10 <= found.count(OK) <= most
        assert set(found) == {OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert a.seen["who"] == found.count(OK)
        # AND it fills again, 5 a second
        emptied = time.monotonic()
        await asyncio.sleep(1.2)
        started = time.monotonic()
        refilled = min(10, 5 * (1 + started - emptied))
        assert 5 <= (await codes(channel, 20))[OK] <= refilled + 5 * (1 + time.monotonic() - started)


async def test_a_rate_limit_counts_other_services_hosts_on_their_own_and_anew_when_routes_change(
    tmp_path: Path,
) -> None:
    """As its label's description says: `grpc-lb.rate-limit.calls-per-second`."""
    policy = TrafficPolicy(rate_limit=RateLimit(calls_per_second=1, burst=5))
    async with backends("a") as (a,):
        limited = replace(service("rng", a.target), policy=policy)
        before, after = (
            Document((limited, service("other", routes=[Route("other.test", name)]))) for name in ("x.One", "x.Two")
        )
        async with (
            balancer(tmp_path, before) as (plane, envoy),
            envoy.channel() as channel,
            channel_to(envoy, "other.test") as of_the_other_host,
        ):
            await envoy.has(a.port)
            assert (await codes(channel, 8))[OK] >= 5
            assert (await codes(of_the_other_host, 8))[OK] >= 5
            accepted = await envoy.stat(ACCEPTED_ROUTES)
            await plane.serve(after)
            await eventually(lambda: reads(envoy.stat(ACCEPTED_ROUTES), accepted + 1))
            assert (await codes(channel, 20))[OK] >= 5


async def test_faults_abort_a_share_of_the_calls_with_the_status_that_was_asked_for(tmp_path: Path) -> None:
    policy = TrafficPolicy(fault=Fault(abort=Status.FAILED_PRECONDITION, abort_percent=25.0))
    async with (
        backends("a") as (a,),
        balancer(tmp_path, treated(policy, a.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        found = await codes(channel, 400)
        assert set(found) == {OK, grpc.StatusCode.FAILED_PRECONDITION}
        assert found[grpc.StatusCode.FAILED_PRECONDITION] == pytest.approx(100, abs=SIGMAS * sqrt(400 * 3 / 16))
        assert a.seen["who"] == found[OK]


async def test_faults_hold_back_a_share_of_the_calls(tmp_path: Path) -> None:
    policy = TrafficPolicy(fault=Fault(delay=ms(3_600_000), delay_percent=25.0))
    async with (
        backends("a") as (a,),
        balancer(tmp_path, treated(policy, a.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        delayed = "http.calls.fault.delays_injected"
        # All at once, so that those held back hold back no other: they are over while those wait.
        calls: list[Any] = [start(channel.unary_unary(WHO)) for _ in range(200)]

        async def the_others_are_over() -> bool:
            return len([call for call in calls if call.done()]) == 200 - await envoy.stat(delayed)

        await eventually(the_others_are_over)
        held_back = [call for call in calls if not call.done()]
        assert len(held_back) == pytest.approx(50, abs=SIGMAS * sqrt(200 * 3 / 16))
        assert await envoy.stat("http.calls.fault.active_faults") == len(held_back)
        assert {await call.code() for call in calls if call.done()} == {OK}
        assert a.seen["who"] == 200 - len(held_back)
        for call in held_back:
            call.cancel()


async def test_faults_hold_calls_back(tmp_path: Path) -> None:
    policy = TrafficPolicy(fault=Fault(delay=ms(300)))
    async with (
        backends("a") as (a,),
        balancer(tmp_path, treated(policy, a.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        started = time.monotonic()
        assert await codes(channel, 2) == {OK: 2}
        assert time.monotonic() - started >= 0.59  # Envoy's timers count whole milliseconds
