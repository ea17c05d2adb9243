"""One connection, one call: connect and say why not, make a call and say how it went."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import timedelta

from grpc import ChannelConnectivity, StatusCode, aio

from rng_service.report import Call
from rng_service.rng.v1 import random_number_pb2 as pb2
from rng_service.rng.v1 import random_number_pb2_grpc as pb2_grpc
from rng_service.service import SERVED_BY

MINIMUM, MAXIMUM = 1, 100
STREAM_INTERVAL_SECONDS = 0.1


class UnreachableError(Exception):
    """There is no connection to the address; the message says why."""


def open_channel(address: str, authority: str | None = None) -> aio.Channel:
    """A channel with a connection of its own; all else is gRPC's default, but for a proxy from the environment: a
    service inside a VPC, or on this machine, is not behind it."""
    options: list[tuple[str, int | str]] = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    if authority is not None:
        options.append(("grpc.default_authority", authority))
    return aio.insecure_channel(address, options=options)


async def connect(channel: aio.Channel, address: str, within: float) -> None:
    """Wait until the channel has its connection. Raises UnreachableError once it is refused, or after the time."""
    try:
        async with asyncio.timeout(within):
            state = channel.get_state(try_to_connect=True)
            while state is not ChannelConnectivity.READY:
                if state is ChannelConnectivity.TRANSIENT_FAILURE:
                    raise UnreachableError(
                        f"{address} must be a gRPC server that can be reached, got {await why(channel)}"
                    )
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)
    except TimeoutError:
        raise UnreachableError(
            f"{address} must be a gRPC server that can be reached, got no connection within {within:g} s"
        ) from None


async def why(channel: aio.Channel) -> str:
    """Why a channel has no connection: gRPC tells it only to a call."""
    call = await generate(pb2_grpc.RandomNumberStub(channel), 1.0)
    return f"{call.code} {call.details}"


async def generate(stub: pb2_grpc.RandomNumberStub, within: float) -> Call:
    """Make one Generate call with this deadline."""
    started, begin = time.time(), time.perf_counter()
    call = stub.Generate(pb2.GenerateRequest(min=MINIMUM, max=MAXIMUM), timeout=within)
    try:
        answer = await call
        seconds = time.perf_counter() - begin
        task = served_by(await call.trailing_metadata())
    except aio.AioRpcError as error:
        return failure(started, time.perf_counter() - begin, error)
    return success(started, seconds, task, number_problem(answer.number))


async def stream(stub: pb2_grpc.RandomNumberStub, lasting: float, within: float) -> Call:
    """Make one Stream call that lasts about so long and may take `within` longer."""
    count = max(1, round(lasting / STREAM_INTERVAL_SECONDS))
    request = pb2.StreamRequest(
        min=MINIMUM, max=MAXIMUM, count=count, interval=timedelta(seconds=STREAM_INTERVAL_SECONDS)
    )
    received, seconds, problem = 0, math.nan, None
    started, begin = time.time(), time.perf_counter()
    call = stub.Stream(request, timeout=lasting + within)
    try:
        async for answer in call:
            if received == 0:
                seconds = time.perf_counter() - begin
            received += 1
            problem = problem if problem is not None else number_problem(answer.number)
        task = served_by(await call.trailing_metadata())
    except aio.AioRpcError as error:
        return failure(started, time.perf_counter() - begin, error)
    if received != count:
        problem = f"the stream must have {count} numbers, got {received}"
    return success(started, seconds, task, problem)


def number_problem(number: int) -> str | None:
    return None if MINIMUM <= number <= MAXIMUM else f"the number must be {MINIMUM}..{MAXIMUM}, got {number}"


def success(started: float, seconds: float, task: str | None, problem: str | None) -> Call:
    if problem is not None:
        return Call(started, seconds, task, StatusCode.DATA_LOSS.name, problem)
    return Call(started, seconds, task)


def failure(started: float, seconds: float, error: aio.AioRpcError) -> Call:
    details = error.details()
    task = served_by(error.trailing_metadata())
    return Call(started, seconds, task, error.code().name, details if details is not None else "")


def served_by(trailers: aio.Metadata | None) -> str | None:
    value = trailers.get(SERVED_BY) if trailers is not None else None
    return value if isinstance(value, str) else None
