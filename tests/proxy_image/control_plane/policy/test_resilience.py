"""Limits, ejection and health checks, where the service's owner has asked for them."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from grpc_lb_contract import (
    Document,
    HealthCheck,
    Limits,
    OutlierDetection,
    Retry,
    Route,
    Service,
    Target,
    TrafficPolicy,
)
from tests.proxy_image.control_plane.calls import channel_to, failure_of, reads, settled, start
from tests.proxy_image.control_plane.policies import codes, ms, treated
from tests.proxy_image.control_plane.support import (
    STAY,
    WHO,
    Backend,
    Envoy,
    backends,
    balancer,
    eventually,
    service,
    target,
    who,
)

EJECTED = "cluster.rng.outlier_detection.ejections_active"
HEALTH = "grpc.health.v1.Health"
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


class HealthOf:
    """The health service of a backend, by its wire format: https://github.com/grpc/grpc/blob/master/doc/health-checking.md"""

    def __init__(self, backend: Backend) -> None:
        self.answer = SERVING
        self.asked: list[bytes] = []
        handler: Any = grpc.unary_unary_rpc_method_handler(self._check)
        backend.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(HEALTH, {"Check": handler}),))

    async def _check(self, request: bytes, _context: Any) -> bytes:
        self.asked.append(request)
        return self.answer


async def test_calls_beyond_the_limit_are_answered_unavailable_at_once_and_reach_no_target(tmp_path: Path) -> None:
    policy = TrafficPolicy(limits=Limits(requests=5))
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, treated(policy, a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        method: Any = channel.unary_unary(STAY)
        calls: list[Any] = [start(method, timeout=60) for _ in range(5)]
        await eventually(lambda: a.seen["stay"] + b.seen["stay"] == 5)
        calls += [start(method, timeout=60) for _ in range(4)]
        assert await settled(calls, 4) == {grpc.StatusCode.UNAVAILABLE}
        assert a.seen["stay"] + b.seen["stay"] == 5
        a.release.set()
        b.release.set()
        assert await settled(calls, 9) == {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK}
        assert await codes(channel, 5) == {grpc.StatusCode.OK: 5}


@contextmanager
def that_answers_nobody() -> Iterator[int]:
    """A port whose queue of connections is full: the kernel drops what else comes."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_calls_that_wait_for_a_connection_are_limited_too(tmp_path: Path) -> None:
    """GIVEN a target that cannot be reached WHEN 6 calls come at once THEN 2 wait, and 4 are answered at once."""
    policy = TrafficPolicy(limits=Limits(pending=2), retry=Retry(max_retries=0))
    with that_answers_nobody() as port:
        async with balancer(tmp_path, treated(policy, target(port))) as (_, envoy), envoy.channel() as channel:
            method: Any = channel.unary_unary(STAY)
            calls: list[Any] = [start(method, timeout=60) for _ in range(6)]
            assert await settled(calls, 4) == {grpc.StatusCode.UNAVAILABLE}
            assert await envoy.stat("cluster.rng.upstream_rq_pending_overflow") == 4
            assert await settled(calls, 6) == {grpc.StatusCode.UNAVAILABLE}
            assert await envoy.stat("cluster.rng.upstream_rq_pending_failure_eject") == 2


TWO_CALLS_A_CONNECTION = (("grpc.max_concurrent_streams", 2),)


@pytest.mark.parametrize(
    ("limits", "connections"),
    [
        (Limits(), 6),
        (Limits(connections=3), 3),
        (Limits(connections_per_target=2), 4),
    ],
)
async def test_calls_beyond_what_the_connections_allow_wait_and_are_answered(
    tmp_path: Path, limits: Limits, connections: int
) -> None:
    """GIVEN two targets that take two calls a connection WHEN 12 come THEN two for each connection are in flight."""
    async with (
        backends("a", "b", options=TWO_CALLS_A_CONNECTION) as (a, b),
        balancer(tmp_path, treated(TrafficPolicy(limits=limits), a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        calls: list[Any] = []

        async def settles() -> bool:
            waiting = await envoy.stat("cluster.rng.upstream_rq_pending_active")
            return a.seen["stay"] + b.seen["stay"] + waiting == len(calls)

        # One after the other: how many calls a new connection takes is known by the first answer on it.
        for _ in range(12):
            calls.append(start(channel.unary_unary(STAY), timeout=60))
            await eventually(settles, f"call {len(calls)}")
        assert a.seen["stay"] + b.seen["stay"] == 2 * connections
        assert await envoy.stat("cluster.rng.upstream_cx_active") == connections
        a.release.set()
        b.release.set()
        assert await settled(calls, 12) == {grpc.StatusCode.OK}


async def test_a_target_that_answers_unavailable_is_ejected_on_request_and_comes_back(tmp_path: Path) -> None:
    """GIVEN two services with the same targets, of which one ejects for a minute and the other for a moment."""

    def ejecting_for(name: str, seconds: float, *targets: Target) -> Service:
        outlier = OutlierDetection(consecutive_gateway_failures=3, base_ejection_time=timedelta(seconds=seconds))
        return replace(
            service(name, *targets, routes=[Route(f"{name}.test")]), policy=TrafficPolicy(outlier_detection=outlier)
        )

    async with backends("a", "b") as (a, b):
        services = (ejecting_for("long", 60, a.target, b.target), ejecting_for("short", 0.1, a.target, b.target))
        async with (
            balancer(tmp_path, Document(services)) as (_, envoy),
            channel_to(envoy, "long.test") as long,
            channel_to(envoy, "short.test") as short,
        ):
            a.abort = grpc.StatusCode.UNAVAILABLE
            for name, channel in (("long", long), ("short", short)):
                assert await codes(channel, 6) == {grpc.StatusCode.UNAVAILABLE: 3, grpc.StatusCode.OK: 3}
                ejections = f"cluster.{name}.outlier_detection.ejections_enforced_total"
                await eventually(lambda stat=ejections: reads(envoy.stat(stat), 1), name)  # type: ignore[misc]
            assert await codes(long, 20) == {grpc.StatusCode.OK: 20}
            a.abort = None

            async def is_back() -> bool:
                return (await who(short, 10))["a"] == 5

            await eventually(is_back, "calls for a")
            assert await envoy.stat("cluster.short.outlier_detection.ejections_active") == 0


COUNTED = [
    (grpc.StatusCode.UNAVAILABLE, True, True),
    (grpc.StatusCode.DEADLINE_EXCEEDED, True, True),
    (grpc.StatusCode.UNKNOWN, False, True),
    (grpc.StatusCode.UNIMPLEMENTED, False, True),
    (grpc.StatusCode.INTERNAL, False, True),
    (grpc.StatusCode.DATA_LOSS, False, True),
    (grpc.StatusCode.NOT_FOUND, False, False),
    (grpc.StatusCode.RESOURCE_EXHAUSTED, False, False),
    (grpc.StatusCode.CANCELLED, False, False),
    (grpc.StatusCode.ABORTED, False, False),
]
WAYS = {"unavailable": "consecutive_gateway_failures", "error": "consecutive_errors"}


def name_of(way: str, status: grpc.StatusCode) -> str:
    return f"{way}-{status.name.lower().replace('_', '-')}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ejecting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Backend, Envoy]]:
    """For each status a service for each way to eject, all in one balancer with the same two targets."""

    def treated_so(way: str, status: grpc.StatusCode, *targets: Target) -> Service:
        outlier = OutlierDetection(**{WAYS[way]: 2}, base_ejection_time=timedelta(minutes=1))  # type: ignore[arg-type]
        name = name_of(way, status)
        asked = service(name, *targets, routes=[Route(f"{name}.test")])
        return replace(asked, policy=TrafficPolicy(outlier_detection=outlier))

    async with backends("a", "b") as (a, b):
        services = (treated_so(way, status, a.target, b.target) for status, *_ in COUNTED for way in WAYS)
        async with balancer(tmp_path_factory.mktemp("ejecting"), Document(tuple(services))) as (_, envoy):
            yield a, envoy


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("status", "unavailable", "error"), COUNTED)
async def test_which_statuses_count(
    ejecting: tuple[Backend, Envoy], status: grpc.StatusCode, unavailable: bool, error: bool
) -> None:
    a, envoy = ejecting
    a.abort = status
    for way, counts in (("unavailable", unavailable), ("error", error)):
        name = name_of(way, status)
        async with channel_to(envoy, f"{name}.test") as channel:
            seen = a.seen["who"]
            await codes(channel, 4)
            if counts:
                ejected = f"cluster.{name}.outlier_detection.ejections_active"
                await eventually(lambda stat=ejected: reads(envoy.stat(stat), 1), way)  # type: ignore[misc]
            await codes(channel, 16)
            assert a.seen["who"] - seen == (2 if counts else 10), way


async def test_no_more_than_the_most_percent_are_ejected(tmp_path: Path) -> None:
    for most, ejected in ((25, 1), (100, 4)):
        policy = TrafficPolicy(
            outlier_detection=OutlierDetection(
                consecutive_gateway_failures=1, max_ejection_percent=most, base_ejection_time=timedelta(minutes=1)
            )
        )
        folder = tmp_path / str(most)
        folder.mkdir()
        async with (
            backends("a", "b", "c", "d") as servers,
            balancer(folder, treated(policy, *(server.target for server in servers))) as (_, envoy),
            envoy.channel() as channel,
        ):
            for server in servers:
                server.abort = grpc.StatusCode.UNAVAILABLE

            async def are_ejected(
                channel: grpc.aio.Channel = channel, envoy: Envoy = envoy, wanted: int = ejected
            ) -> bool:
                await codes(channel, 4)
                return await envoy.stat(EJECTED) == wanted

            await eventually(are_ejected)
            await codes(channel, 20)
            assert await envoy.stat(EJECTED) == ejected


async def test_a_target_that_fails_much_more_often_than_the_others_is_ejected_on_request(tmp_path: Path) -> None:
    """GIVEN five targets of which one fails half of its calls THEN it is ejected, which none in a row would do."""
    policy = TrafficPolicy(
        outlier_detection=OutlierDetection(success_rate=True, success_rate_min_calls=5, base_ejection_time=ms(1000))
    )
    async with (
        backends("a", "b", "c", "d", "e") as servers,
        balancer(tmp_path, treated(policy, *(server.target for server in servers))) as (_, envoy),
        envoy.channel() as channel,
    ):

        async def ejected() -> bool:
            # At once, so that one interval has enough of them on a slow machine too.
            for number in range(4):
                servers[0].abort = grpc.StatusCode.UNAVAILABLE if number % 2 else None
                await asyncio.gather(*(codes(channel, 1) for _ in range(20)))
            return await envoy.stat("cluster.rng.outlier_detection.ejections_enforced_success_rate") > 0

        await eventually(ejected, "an ejection")


async def test_a_target_gets_calls_only_while_it_says_that_it_serves(tmp_path: Path) -> None:
    policy = TrafficPolicy(
        health_check=HealthCheck(enabled=True, service="test.Test", interval=ms(100), unhealthy_threshold=1)
    )
    async with backends("a", "b") as (a, b):
        health = HealthOf(a)
        HealthOf(b)
        async with (
            balancer(tmp_path, treated(policy, a.target, b.target)) as (plane, envoy),
            envoy.channel() as channel,
        ):

            async def answers(expected: dict[str, int]) -> bool:
                return await who(channel, 10) == expected

            await eventually(lambda: answers({"a": 5, "b": 5}))
            assert b"test.Test" in health.asked[0]
            health.answer = NOT_SERVING
            await eventually(lambda: answers({"b": 10}))
            health.answer = SERVING
            await eventually(lambda: answers({"a": 5, "b": 5}))
            # AND a target that is gone from the document is gone, healthy as it is
            await plane.serve(treated(policy, b.target))
            await eventually(lambda: answers({"b": 10}))
            await envoy.has(b.port)


async def test_a_server_without_the_health_service_is_never_healthy(tmp_path: Path) -> None:
    policy = TrafficPolicy(health_check=HealthCheck(enabled=True, interval=ms(100)))
    async with (
        backends("a") as (a,),
        balancer(tmp_path, treated(policy, a.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        assert await failure_of(channel) == grpc.StatusCode.UNAVAILABLE
        assert not a.seen


@pytest.mark.parametrize(
    ("failures", "at_once", "is_ejected"),
    # A call that gets a connection is a success of its own, so calls one by one never fail twice in a row.
    [(1, 1, True), (2, 1, False), (2, 20, True)],
)
async def test_a_target_that_answers_nothing_is_ejected_by_tries_that_run_out(
    tmp_path: Path, failures: int, at_once: int, is_ejected: bool
) -> None:
    """GIVEN two targets of which one takes calls and answers none WHEN tries run out THEN each call has its answer."""
    policy = TrafficPolicy(
        retry=Retry(per_try_timeout=ms(500)),
        outlier_detection=OutlierDetection(
            consecutive_connect_failures=failures, base_ejection_time=timedelta(minutes=1)
        ),
    )
    async with (
        backends("a") as (a,),
        backends("b", hold=True) as (b,),
        balancer(tmp_path, treated(policy, a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        for _ in range(2 if is_ejected else 4):
            found = await asyncio.gather(*(codes(channel, 1) for _ in range(at_once)))
            assert sum(found, Counter()) == {grpc.StatusCode.OK: at_once}
        assert b.seen["who"] >= 1
        await eventually(lambda: reads(envoy.stat(EJECTED), 1 if is_ejected else 0))
        silent = b.seen["who"]
        assert await codes(channel, 4) == {grpc.StatusCode.OK: 4}
        assert (b.seen["who"] == silent) is is_ejected


async def test_deadlines_of_callers_eject_no_target(tmp_path: Path) -> None:
    """A caller that asks for too little time is no reason to eject a target that needs more."""
    outlier = OutlierDetection(consecutive_connect_failures=1, base_ejection_time=timedelta(minutes=1))
    async with (
        backends("a", hold=True) as (a,),
        balancer(tmp_path, treated(TrafficPolicy(outlier_detection=outlier), a.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        # Its connection is there.
        call: Any = start(channel.unary_unary(WHO), timeout=60)
        await eventually(lambda: a.seen["who"])
        assert await codes(channel, 10, timeout=0.1) == {grpc.StatusCode.DEADLINE_EXCEEDED: 10}
        assert await envoy.stat(EJECTED) == 0
        a.release.set()
        assert await call.code() is grpc.StatusCode.OK
