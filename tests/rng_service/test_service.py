from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from rng_service.rng.v1 import random_number_pb2 as pb2
from rng_service.rng.v1 import random_number_pb2_grpc as pb2_grpc
from tests.rng_service.servers import serving
from tests.waiting import PATIENCE_SECONDS

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


@pytest.fixture
async def channel() -> AsyncIterator[aio.Channel]:
    async with serving("task-a") as address, aio.insecure_channel(address) as channel:
        yield channel


@pytest.fixture
def stub(channel: aio.Channel) -> pb2_grpc.RandomNumberStub:
    return pb2_grpc.RandomNumberStub(channel)


async def generate(stub: pb2_grpc.RandomNumberStub, minimum: int, maximum: int) -> int:
    return (await stub.Generate(pb2.GenerateRequest(min=minimum, max=maximum), timeout=PATIENCE_SECONDS)).number


async def test_given_two_bounds_when_many_numbers_are_made_then_both_bounds_and_nothing_else_come(
    stub: pb2_grpc.RandomNumberStub,
) -> None:
    assert {await generate(stub, -1, 1) for _ in range(200)} == {-1, 0, 1}


async def test_given_the_full_64_bits_when_numbers_are_made_then_they_reach_both_halves(
    stub: pb2_grpc.RandomNumberStub,
) -> None:
    numbers = [await generate(stub, INT64_MIN, INT64_MAX) for _ in range(64)]
    assert min(numbers) < -(2**53)
    assert max(numbers) > 2**53


@pytest.mark.parametrize("bound", [INT64_MIN, 0, INT64_MAX])
async def test_given_min_equal_to_max_when_a_number_is_made_then_it_is_that(
    stub: pb2_grpc.RandomNumberStub, bound: int
) -> None:
    assert await generate(stub, bound, bound) == bound


async def test_given_min_above_max_when_a_number_is_asked_for_then_the_error_names_both_and_the_task(
    stub: pb2_grpc.RandomNumberStub,
) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await generate(stub, 5, -7)
    assert caught.value.code() is StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "min must be at most max, got min 5 and max -7"
    assert caught.value.trailing_metadata().get("served-by") == "task-a"


async def test_given_a_call_when_it_ends_then_the_trailing_metadata_names_the_task(
    stub: pb2_grpc.RandomNumberStub,
) -> None:
    call = stub.Generate(pb2.GenerateRequest(min=1, max=6), timeout=60)
    await call
    assert (await call.trailing_metadata()).get("served-by") == "task-a"


async def test_given_a_stream_when_it_ends_then_it_had_its_count_its_pace_and_the_task(
    stub: pb2_grpc.RandomNumberStub,
) -> None:
    begin = asyncio.get_running_loop().time()
    call = stub.Stream(pb2.StreamRequest(min=1, max=6, count=4, interval=timedelta(milliseconds=50)), timeout=60)
    numbers = [answer.number async for answer in call]
    assert len(numbers) == 4
    assert set(numbers) <= set(range(1, 7))
    assert asyncio.get_running_loop().time() - begin >= 3 * 0.05
    assert (await call.trailing_metadata()).get("served-by") == "task-a"


@pytest.mark.parametrize(
    ("request_", "details"),
    [
        (pb2.StreamRequest(min=2, max=1, count=1), "min must be at most max, got min 2 and max 1"),
        (pb2.StreamRequest(count=0), "count must be 1..1000000, got 0"),
        (pb2.StreamRequest(count=-1), "count must be 1..1000000, got -1"),
        (pb2.StreamRequest(count=1_000_001), "count must be 1..1000000, got 1000001"),
        (
            pb2.StreamRequest(count=1, interval=Duration(seconds=-1)),
            "interval must be 0..3600 s, got -1 s and 0 ns",
        ),
        (
            pb2.StreamRequest(count=1, interval=Duration(nanos=-1)),
            "interval must be 0..3600 s, got 0 s and -1 ns",
        ),
        (
            pb2.StreamRequest(count=1, interval=Duration(seconds=3600, nanos=1)),
            "interval must be 0..3600 s, got 3600 s and 1 ns",
        ),
        (
            pb2.StreamRequest(count=1, interval=Duration(nanos=1_000_000_000)),
            "interval must be 0..3600 s, got 0 s and 1000000000 ns",
        ),
    ],
)
async def test_given_a_stream_request_out_of_bounds_when_it_is_called_then_the_error_names_the_value_and_the_task(
    stub: pb2_grpc.RandomNumberStub, request_: pb2.StreamRequest, details: str
) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        [answer async for answer in stub.Stream(request_, timeout=60)]
    assert caught.value.code() is StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == details
    assert caught.value.trailing_metadata().get("served-by") == "task-a"


async def test_given_a_call_when_it_ends_then_the_log_has_one_line_for_it(
    stub: pb2_grpc.RandomNumberStub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rng_service")
    number = await generate(stub, 1, 100)
    with pytest.raises(aio.AioRpcError):
        await generate(stub, 9, 3)
    [answer async for answer in stub.Stream(pb2.StreamRequest(min=1, max=2, count=3), timeout=60)]
    lines = [re.sub(r"^127\.0\.0\.1:\d+ ", "PEER ", line) for line in caplog.messages]
    assert lines == [
        f"PEER Generate min=1 max=100 number={number} OK",
        "PEER Generate min=9 max=3 number=- INVALID_ARGUMENT",
        "PEER Stream min=1 max=2 sent=3/3 OK",
    ]


@pytest.mark.parametrize("ended", ["CANCELLED", "DEADLINE_EXCEEDED"])
async def test_given_a_stream_when_its_caller_ends_it_then_the_log_says_how(
    stub: pb2_grpc.RandomNumberStub, caplog: pytest.LogCaptureFixture, ended: str
) -> None:
    caplog.set_level(logging.INFO, "rng_service")
    request = pb2.StreamRequest(min=1, max=2, count=1000, interval=timedelta(milliseconds=10))
    call = stub.Stream(request, timeout=60 if ended == "CANCELLED" else 0.1)
    await call.read()
    if ended == "CANCELLED":
        call.cancel()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not caplog.messages:  # noqa: ASYNC110 - a log has no event to wait for
            await asyncio.sleep(0.01)
    assert re.fullmatch(rf"127\.0\.0\.1:\d+ Stream min=1 max=2 sent=\d+/1000 {ended}", caplog.messages[0])


@pytest.mark.parametrize("service", ["", "rng.v1.RandomNumber"])
async def test_given_a_server_when_its_health_is_asked_then_it_serves(channel: aio.Channel, service: str) -> None:
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    answer = await check(health_pb2.HealthCheckRequest(service=service), timeout=60)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_given_a_server_when_reflection_is_asked_then_it_lists_and_describes_the_service(
    channel: aio.Channel,
) -> None:
    reflect = channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    questions = (
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="rng.v1.RandomNumber"),
    )
    services, file = [answer async for answer in reflect(iter(questions), timeout=60)]
    assert {service.name for service in services.list_services_response.service} == {
        "rng.v1.RandomNumber",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert b"GenerateRequest" in b"".join(file.file_descriptor_response.file_descriptor_proto)


async def test_given_4000_calls_at_once_when_they_wait_for_the_server_then_none_is_refused(
    stub: pb2_grpc.RandomNumberStub,
) -> None:
    assert set(await asyncio.gather(*(generate(stub, 7, 7) for _ in range(4000)))) == {7}


async def test_given_a_balancer_that_pings_often_then_the_server_answers_and_does_not_send_it_away() -> None:
    ping, goaway, settings, ack = 6, 7, 4, 1  # RFC 9113, section 6
    async with serving("task-a") as address:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(settings))
        for _ in range(10):
            writer.write(frame(ping, bytes(8)))
            answered = False
            while not answered:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    header = await reader.readexactly(9)
                    await reader.readexactly(int.from_bytes(header[:3], "big"))
                assert header[3] != goaway
                answered = header[3] == ping and header[4] == ack
        writer.close()
        await writer.wait_closed()


def frame(kind: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, 0, 0, 0, 0, 0]) + payload
