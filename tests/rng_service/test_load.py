from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from grpc import StatusCode, aio

from rng_service.load import Load, LoadReport, Plan, SteadyLoad, UnreachableError, run_load
from rng_service.rng.v1 import random_number_pb2 as pb2
from rng_service.rng.v1 import random_number_pb2_grpc as pb2_grpc
from tests.rng_service.servers import server_process, serving
from tests.waiting import PATIENCE_SECONDS


class Broken(pb2_grpc.RandomNumberServicer):
    """Fails, or answers with what was not asked for, or not at all."""

    def __init__(self, way: str) -> None:
        self.way = way

    async def Generate(  # noqa: N802 - the name in the proto
        self,
        request: pb2.GenerateRequest,
        context: aio.ServicerContext[pb2.GenerateRequest, pb2.GenerateResponse],
    ) -> pb2.GenerateResponse:
        context.set_trailing_metadata((("served-by", "broken"),))
        if self.way == "abort":
            await context.abort(StatusCode.RESOURCE_EXHAUSTED, "no numbers left")
        if self.way == "hang":
            await asyncio.Event().wait()
        return pb2.GenerateResponse(number=101)

    async def Stream(  # noqa: N802 - the name in the proto
        self,
        request: pb2.StreamRequest,
        context: aio.ServicerContext[pb2.StreamRequest, pb2.StreamResponse],
    ) -> AsyncIterator[pb2.StreamResponse]:
        context.set_trailing_metadata((("served-by", "broken"),))
        yield pb2.StreamResponse(number=1)


@asynccontextmanager
async def broken(way: str) -> AsyncIterator[str]:
    server = aio.server()
    pb2_grpc.add_RandomNumberServicer_to_server(Broken(way), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def connections(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {message.partition(" ")[0] for message in caplog.messages}


async def test_given_a_server_when_100_calls_are_made_then_each_is_reported_with_its_task_and_time() -> None:
    before = time.time()
    async with serving("task-a") as address:
        report = await run_load(address)
    assert report.tasks == {"task-a": 100}
    assert report.failures == ()
    assert all(before <= call.started <= call.answered <= time.time() + 0.01 for call in report.calls)
    assert 0 < report.latency(50) <= report.latency(99) <= report.seconds


@pytest.mark.parametrize("channels", [1, 4])
async def test_given_channels_when_calls_are_made_then_each_channel_is_a_connection_of_its_own(
    channels: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rng_service")
    async with serving("task-a") as address:
        report = await run_load(address, Plan(calls=10, channels=channels))
    assert len(report.calls) == 10
    assert len(connections(caplog)) == channels


async def test_given_a_rate_when_calls_are_made_then_they_keep_to_it() -> None:
    async with serving("task-a") as address:
        # GIVEN, side by side, a tenth of the rate, which takes 2 s at the least
        quick, slow = await asyncio.gather(*(run_load(address, Plan(calls=41, rate=rate)) for rate in (200, 20)))
    spans = [max(starts) - min(starts) for starts in ([call.started for call in each.calls] for each in (quick, slow))]
    assert [len(each.calls) for each in (quick, slow)] == [41, 41]
    assert 0.19 < spans[0] < spans[1]
    assert spans[1] > 1.9


@pytest.mark.parametrize("rate", [None, 100.0])
async def test_given_a_duration_when_calls_are_made_then_they_end_after_it(rate: float | None) -> None:
    async with serving("task-a") as address, Load(address, Plan(calls=None, rate=rate, duration=3600)) as longer:
        going_on = asyncio.create_task(longer.run())
        report = await run_load(address, Plan(calls=None, rate=rate, duration=0.3))
        await until(longer, lambda report: len(report.calls) >= 3)
        # THEN one of an hour, which began before, has not ended
        assert not going_on.done()
        longer.stop()
        await going_on
    assert report.seconds >= 0.3
    assert report.calls
    assert report.tasks == {"task-a": len(report.calls)}


async def test_given_streams_when_they_are_made_then_all_are_open_at_once() -> None:
    async with serving("task-a") as address:
        report = await run_load(address, Plan(streams=50, channels=2, duration=1))
    assert report.tasks == {"task-a": 50}
    assert max(call.started for call in report.calls) < min(call.answered for call in report.calls)


@pytest.mark.parametrize(
    ("way", "plan", "code", "details", "task"),
    [
        ("abort", Plan(calls=1), "RESOURCE_EXHAUSTED", "no numbers left", "broken"),
        ("hang", Plan(calls=1, timeout=0.1), "DEADLINE_EXCEEDED", "Deadline Exceeded", None),
        ("lie", Plan(calls=1), "DATA_LOSS", "the number must be 1..100, got 101", "broken"),
        ("short", Plan(streams=1), "DATA_LOSS", "the stream must have 10 numbers, got 1", "broken"),
    ],
)
async def test_given_a_server_that_fails_when_a_call_is_made_then_the_failure_is_reported(
    way: str, plan: Plan, code: str, details: str, task: str | None
) -> None:
    async with broken(way) as address:
        report = await run_load(address, plan)
    assert [(call.code, call.details, call.task) for call in report.failures] == [(code, details, task)]
    assert report.tasks == {}


async def test_given_no_server_when_a_load_begins_then_it_says_at_once_why_there_is_no_connection() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=rf"^{address} must be .* got UNAVAILABLE .*Connection refused"):
            await run_load(address, Plan(connect_timeout=3600))


async def test_given_a_server_that_says_nothing_when_a_load_begins_then_it_gives_up_after_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=rf"^{address} must be .* got no connection within 0.2 s$"):
            await run_load(address, Plan(connect_timeout=0.2))


async def test_given_a_steady_load_when_it_is_looked_at_then_it_goes_on_and_when_it_is_left_no_call_runs() -> None:
    async with serving("task-a") as address:
        async with SteadyLoad(address, rate=250, channels=2) as load:
            await until(load, lambda report: len(report.calls) >= 20)
            first = load.report()
            await until(load, lambda report: len(report.calls) >= len(first.calls) + 20)
        report = load.report()
    assert report.failures == ()
    assert report.tasks == {"task-a": len(report.calls)}
    assert load.report() == report


async def test_given_a_steady_load_when_its_server_is_killed_and_another_comes_then_both_are_in_the_report() -> None:
    async with server_process(SERVED_BY="first") as first:
        port = first.address.rpartition(":")[2]
        async with SteadyLoad(first.address, rate=250, channels=2) as load:
            await until(load, lambda report: "first" in report.tasks)
            # WHEN the server dies without a word
            first.process.kill()
            killed = time.time()
            await first.exit_code()
            await until(load, lambda report: len(report.failures) > 0)
            async with server_process(SERVED_BY="second", PORT=port):
                started = time.time()
                await until(load, lambda report: "second" in report.tasks)
                report = await load.stop()
    # THEN what failed is told, and when the next task gave its first answer
    assert {call.code for call in report.failures} == {"UNAVAILABLE"}
    assert all(call.answered >= killed for call in report.failures)
    assert all(call.details != "" for call in report.failures)
    answered = report.first_answer("second")
    assert answered is not None
    assert started - 1 <= answered <= time.time()


async def test_given_an_authority_when_a_call_is_made_then_it_is_on_the_wire() -> None:
    seen = bytearray()
    arrived = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))  # an empty SETTINGS frame: the connection is ready
        while not arrived.is_set() and (more := await reader.read(65536)):
            seen.extend(more)
            if b"orders.internal" in seen:
                arrived.set()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    report = await run_load(address, Plan(calls=1, timeout=2, authority="orders.internal"))
    server.close()
    await server.wait_closed()
    assert arrived.is_set()
    assert len(report.failures) == 1


async def until(load: Load | SteadyLoad, holds: Callable[[LoadReport], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds(load.report()):  # noqa: ASYNC110 - a load has no event for what a test waits for
            await asyncio.sleep(0.02)
