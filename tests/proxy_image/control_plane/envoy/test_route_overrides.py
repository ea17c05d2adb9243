"""Time limits and retries of single methods, where their service has others: by real calls."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from grpc_lb_contract import Deadline, Document, Overrides, Retry, RetryStatus, Route, TrafficPolicy
from tests.proxy_image.control_plane.calls import start
from tests.proxy_image.control_plane.policies import ms
from tests.proxy_image.control_plane.support import (
    GRPC_SERVICE,
    STAY,
    STREAM,
    WHICH,
    WHO,
    Backend,
    backends,
    balancer,
    service,
)

OF_WHO = Route("*", GRPC_SERVICE, method="Who")


@asynccontextmanager
async def one_method_otherwise(
    tmp_path: Path, overrides: Overrides, policy: TrafficPolicy
) -> AsyncIterator[tuple[Backend, grpc.aio.Channel]]:
    """A service with a policy, whose method Who has settings of its own."""
    routes = [Route(), replace(OF_WHO, overrides=overrides)]
    async with backends("a") as (a,):
        one = replace(service("rng", a.target, routes=routes), policy=policy)
        async with balancer(tmp_path, Document((one,))) as (_, envoy), envoy.channel() as channel:
            yield a, channel


async def call(channel: grpc.aio.Channel, method: str, seconds: float | None = 60) -> grpc.StatusCode:
    made: Any = start(channel.unary_unary(method), timeout=seconds)
    code: grpc.StatusCode = await made.code()
    return code


async def test_a_methods_deadlines_are_what_the_server_sees_and_the_others_keep_theirs(tmp_path: Path) -> None:
    """GIVEN a service with a ceiling of 400 s and a default of 200 s, and a method with 100 s and 50 s."""
    policy = TrafficPolicy(deadline=Deadline(ms(400_000), ms(200_000)))
    own = Overrides(Deadline(ms(100_000), ms(50_000)))
    async with one_method_otherwise(tmp_path, own, policy) as (a, channel):
        for method in (WHO, WHICH):
            for timeout in (None, 25, 3600):
                assert await call(channel, method, timeout) is grpc.StatusCode.OK
        expected = [50, 25, 100, 200, 25, 400]
        assert a.time_left == [pytest.approx(seconds, rel=0.3) for seconds in expected]


async def test_a_methods_ceiling_ends_its_calls_and_no_others(tmp_path: Path) -> None:
    own = Overrides(Deadline(max=ms(300)))
    routes = [Route(), replace(OF_WHO, method="Stay", overrides=own)]
    async with backends("a") as (a,):
        document = Document((service("rng", a.target, routes=routes),))
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            stream: Any = start(channel.unary_stream(STREAM))
            assert await stream.read() == b"a"
            started = time.monotonic()
            assert await call(channel, STAY, 30) is grpc.StatusCode.DEADLINE_EXCEEDED
            assert time.monotonic() - started > 0.25
            # AND a call of another method that is longer in flight goes on
            assert not stream.done()
            a.release.set()
            assert await stream.read() == b"end"


async def test_a_method_is_tried_again_as_often_as_it_says_and_the_others_as_the_service_says(tmp_path: Path) -> None:
    own = Overrides(retry=Retry(on=frozenset({RetryStatus.UNAVAILABLE}), max_retries=2))
    async with one_method_otherwise(tmp_path, own, TrafficPolicy()) as (a, channel):
        a.abort = grpc.StatusCode.UNAVAILABLE
        for calls in range(1, 4):
            assert await call(channel, WHO) is grpc.StatusCode.UNAVAILABLE
            assert await call(channel, WHICH) is grpc.StatusCode.UNAVAILABLE
            assert a.seen == {"who": 3 * calls, "which": calls}


async def test_a_method_that_must_not_be_tried_twice_is_not_although_its_service_is(tmp_path: Path) -> None:
    policy = TrafficPolicy(retry=Retry(on=frozenset({RetryStatus.UNAVAILABLE}), max_retries=1))
    async with one_method_otherwise(tmp_path, Overrides(retry=Retry(max_retries=0)), policy) as (a, channel):
        a.abort = grpc.StatusCode.UNAVAILABLE
        for calls in range(1, 4):
            assert await call(channel, WHO) is grpc.StatusCode.UNAVAILABLE
            assert await call(channel, WHICH) is grpc.StatusCode.UNAVAILABLE
            assert a.seen == {"who": calls, "which": 2 * calls}
