"""The calls of rng.v1.RandomNumber: checks, numbers, one log line a call."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from grpc import StatusCode

from rng_service.rng.v1 import random_number_pb2 as pb2
from rng_service.rng.v1 import random_number_pb2_grpc as pb2_grpc

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration
    from grpc import aio

SERVED_BY = "served-by"
MAX_NUMBERS = 1_000_000
MAX_INTERVAL_SECONDS = 3600

log = logging.getLogger("rng_service")
numbers = random.SystemRandom()


def range_problem(minimum: int, maximum: int) -> str | None:
    return None if minimum <= maximum else f"min must be at most max, got min {minimum} and max {maximum}"


def stream_problem(request: pb2.StreamRequest) -> str | None:
    problem = range_problem(request.min, request.max)
    if problem is not None:
        return problem
    if not 1 <= request.count <= MAX_NUMBERS:
        return f"count must be 1..{MAX_NUMBERS}, got {request.count}"
    interval = request.interval
    # google/protobuf/duration.proto: nanos are below one second and have the sign of the seconds.
    if not 0 <= interval.nanos < 1_000_000_000 or not 0 <= seconds_of(interval) <= MAX_INTERVAL_SECONDS:
        return f"interval must be 0..{MAX_INTERVAL_SECONDS} s, got {interval.seconds} s and {interval.nanos} ns"
    return None


def seconds_of(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def readable_peer(peer: str) -> str:
    """`ipv4:10.0.0.1:5000` as `10.0.0.1:5000`; gRPC percent-encodes the brackets of an IPv6 address."""
    return unquote(peer.partition(":")[2]) if peer.startswith(("ipv4:", "ipv6:")) else peer


class RandomNumber(pb2_grpc.RandomNumberServicer):
    """Serves as the named task."""

    def __init__(self, task: str) -> None:
        self._trailers = ((SERVED_BY, task),)

    async def Generate(  # noqa: N802 - the name in the proto
        self,
        request: pb2.GenerateRequest,
        context: aio.ServicerContext[pb2.GenerateRequest, pb2.GenerateResponse],
    ) -> pb2.GenerateResponse:
        context.set_trailing_metadata(self._trailers)
        problem = range_problem(request.min, request.max)
        if problem is not None:
            log_call(context.peer(), "Generate", request, "number=-", StatusCode.INVALID_ARGUMENT)
            await context.abort(StatusCode.INVALID_ARGUMENT, problem)
        number = numbers.randint(request.min, request.max)
        log_call(context.peer(), "Generate", request, f"number={number}", StatusCode.OK)
        return pb2.GenerateResponse(number=number)

    async def Stream(  # noqa: N802 - the name in the proto
        self,
        request: pb2.StreamRequest,
        context: aio.ServicerContext[pb2.StreamRequest, pb2.StreamResponse],
    ) -> AsyncIterator[pb2.StreamResponse]:
        context.set_trailing_metadata(self._trailers)
        peer = context.peer()  # gRPC forgets it when the call is over
        problem = stream_problem(request)
        if problem is not None:
            log_call(peer, "Stream", request, f"sent=0/{request.count}", StatusCode.INVALID_ARGUMENT)
            await context.abort(StatusCode.INVALID_ARGUMENT, problem)
        interval = seconds_of(request.interval)
        status, sent = None, 0
        try:
            while True:
                yield pb2.StreamResponse(number=numbers.randint(request.min, request.max))
                sent += 1
                if sent == request.count:
                    break
                if interval > 0:
                    await asyncio.sleep(interval)
            status = StatusCode.OK
        finally:
            ended = status if status is not None else early_end(context)
            log_call(peer, "Stream", request, f"sent={sent}/{request.count}", ended)


def early_end(context: aio.ServicerContext[Any, Any]) -> StatusCode:
    """How the caller ended its call: gRPC tells a server of a passed deadline and of a cancel in one way."""
    remaining: float | None = context.time_remaining()
    return StatusCode.DEADLINE_EXCEEDED if remaining is not None and remaining <= 0 else StatusCode.CANCELLED


def log_call(
    peer: str,
    method: str,
    request: pb2.GenerateRequest | pb2.StreamRequest,
    result: str,
    status: StatusCode,
) -> None:
    if log.isEnabledFor(logging.INFO):
        caller = readable_peer(peer)
        log.info("%s %s min=%d max=%d %s %s", caller, method, request.min, request.max, result, status.name)
