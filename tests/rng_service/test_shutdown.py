from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2

from rng_service.rng.v1 import random_number_pb2 as pb2
from rng_service.rng.v1 import random_number_pb2_grpc as pb2_grpc
from tests.rng_service.servers import ServerProcess, server_process
from tests.waiting import PATIENCE_SECONDS

LONG = "60"
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def server_and_channel(**settings: str) -> AsyncIterator[tuple[ServerProcess, aio.Channel]]:
    async with server_process(**settings) as server, aio.insecure_channel(server.address) as channel:
        yield server, channel


async def generate(channel: aio.Channel) -> int:
    stub = pb2_grpc.RandomNumberStub(channel)
    return (await stub.Generate(pb2.GenerateRequest(min=7, max=7), timeout=60)).number


def stream(channel: aio.Channel, count: int) -> aio.UnaryStreamCall[pb2.StreamRequest, pb2.StreamResponse]:
    request = pb2.StreamRequest(min=1, max=2, count=count, interval=timedelta(milliseconds=50))
    return pb2_grpc.RandomNumberStub(channel).Stream(request, timeout=PATIENCE_SECONDS)


async def health(channel: aio.Channel) -> int:
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return (await check(health_pb2.HealthCheckRequest(service="rng.v1.RandomNumber"), timeout=60)).status


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
async def test_given_a_server_told_to_stop_when_its_grace_time_runs_then_it_is_not_serving_yet_answers_every_call(
    told: signal.Signals,
) -> None:
    async with server_and_channel(SHUTDOWN_GRACE_SECONDS=LONG) as (server, channel):
        await channel.channel_ready()
        server.tell(told)
        await server.logged("NOT_SERVING")
        assert await health(channel) == NOT_SERVING
        assert await generate(channel) == 7
        async with aio.insecure_channel(server.address) as new_connection:
            assert await generate(new_connection) == 7
        server.tell(told)
        assert await server.exit_code() == 0
        assert server.lines[-1].endswith("stopped")


async def test_given_a_watch_of_health_when_the_server_is_told_to_stop_then_it_hears_it_and_holds_nothing_up() -> None:
    async with server_and_channel(SHUTDOWN_GRACE_SECONDS="0.2", SHUTDOWN_CALLS_SECONDS=LONG) as (server, channel):
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )(health_pb2.HealthCheckRequest())
        answers = aiter(watch)
        heard = [await anext(answers)]
        server.tell()
        heard.append(await anext(answers))
        assert [answer.status for answer in heard] == [health_pb2.HealthCheckResponse.SERVING, NOT_SERVING]
        assert await server.exit_code() == 0


async def test_invariant_4_the_calls_of_a_task_told_to_stop_finish() -> None:
    async with server_and_channel(SHUTDOWN_GRACE_SECONDS="0.2", SHUTDOWN_CALLS_SECONDS=LONG) as (server, channel):
        # GIVEN a stream that outlasts the grace time
        call = stream(channel, count=20)
        answers = aiter(call)
        await anext(answers)
        # WHEN the task is told to stop, and closes its connections
        server.tell()
        await server.logged("closing connections")
        # THEN the stream has every number, and the task's name, and only then the task is gone
        rest = [answer async for answer in answers]
        assert len(rest) == 19
        assert (await call.trailing_metadata()).get("served-by") is not None
        assert await server.exit_code() == 0


async def test_given_calls_that_outlast_their_time_when_the_server_stops_then_they_are_cut_as_unavailable() -> None:
    async with server_and_channel(SHUTDOWN_GRACE_SECONDS="0", SHUTDOWN_CALLS_SECONDS="0.3") as (server, channel):
        call = stream(channel, count=1000)
        answers = aiter(call)
        await anext(answers)
        server.tell()
        with pytest.raises(aio.AioRpcError) as caught:
            [answer async for answer in answers]
        assert caught.value.code() is StatusCode.UNAVAILABLE
        assert await server.exit_code() == 0


async def test_given_a_long_grace_time_when_a_second_signal_comes_then_it_ends_and_running_calls_finish() -> None:
    async with server_and_channel(SHUTDOWN_GRACE_SECONDS=LONG, SHUTDOWN_CALLS_SECONDS=LONG) as (server, channel):
        call = stream(channel, count=10)
        answers = aiter(call)
        await anext(answers)
        server.tell()
        await server.logged("NOT_SERVING")
        server.tell()
        assert len([answer async for answer in answers]) == 9
        assert await server.exit_code() == 0


async def test_given_a_running_call_when_a_third_signal_comes_then_the_server_is_gone_at_once() -> None:
    async with server_and_channel(SHUTDOWN_GRACE_SECONDS=LONG, SHUTDOWN_CALLS_SECONDS=LONG) as (server, channel):
        call = stream(channel, count=1000)
        answers = aiter(call)
        await anext(answers)
        for line in ("NOT_SERVING", "closing connections", "cutting the calls"):
            server.tell(signal.SIGINT)
            await server.logged(line)
        assert await server.exit_code() == 0


async def test_given_calls_in_flight_when_the_server_stops_after_its_callers_moved_on_then_no_call_was_dropped() -> (
    None
):
    async with server_and_channel(SHUTDOWN_GRACE_SECONDS=LONG, SHUTDOWN_CALLS_SECONDS=LONG) as (server, channel):
        calls: list[asyncio.Task[int]] = []
        server.tell()
        # Callers move on during the grace time, as a balancer does that sees the task told to stop.
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            calls.append(asyncio.create_task(generate(channel)))
            await asyncio.sleep(0.002)
        assert set(await asyncio.gather(*calls)) == {7}
        server.tell()
        assert await server.exit_code() == 0
