"""How the one who opened an ADS stream is treated: our Envoy is trusted, a gRPC client has a share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import grpc

from proxy_image.control_plane.limits.refusal import RefusedError, RefusedStream, exhausted
from proxy_image.control_plane.limits.xds_rate import RequestRate, Turns
from proxy_image.control_plane.limits.xds_requests import check_request, check_unknown_types
from proxy_image.control_plane.limits.xds_streams import Streams, Ticket

# A client has its first request ready when it opens its stream, and reads what it has asked for as it comes.
FIRST_REQUEST_SECONDS = 10.0
WRITE_SECONDS = 30.0


class Client(Protocol):
    """What a stream asks before and after it does something. Each may raise `RefusedError`."""

    async def may_read(self) -> None:
        """Wait until the next request may be read."""

    def first_request(self) -> Any:
        """The time in which the first request has to come: an async context manager."""

    def turn(self) -> Any:
        """A turn at the control plane's thread: an async context manager."""

    def asked(self, request: Any, unknown_types: int) -> None:
        """A request has come; so many unknown types have been asked for before it."""

    def holds(self, size: int) -> None:
        """The stream's subscriptions take so many bytes."""

    async def send(self, writing: Awaitable[None], size: int) -> None:
        """Wait until a response of so many bytes is written."""


class OwnEnvoy:
    """Waits for nothing, and nothing of it is refused."""

    async def may_read(self) -> None:
        return

    @asynccontextmanager
    async def first_request(self) -> AsyncIterator[None]:
        yield

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        yield

    def asked(self, _request: Any, _unknown_types: int) -> None:
        return

    def holds(self, _size: int) -> None:
        return

    async def send(self, writing: Awaitable[None], _size: int) -> None:
        await writing


class GrpcClient:
    def __init__(self, streams: Streams, ticket: Ticket, turns: Turns) -> None:
        self._streams = streams
        self._ticket = ticket
        self._turns = turns
        self._request_rate = RequestRate()
        self._held = 0

    async def may_read(self) -> None:
        seconds = self._request_rate.seconds_to_wait
        if seconds > 0:
            await asyncio.sleep(seconds)

    @asynccontextmanager
    async def first_request(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(FIRST_REQUEST_SECONDS):
                yield
        except TimeoutError:
            message = f"the first request must come within {FIRST_REQUEST_SECONDS:g} s of the stream, got none"
            raise RefusedError(RefusedStream(grpc.StatusCode.DEADLINE_EXCEEDED, message)) from None

    def turn(self) -> Any:
        return self._turns

    def asked(self, request: Any, unknown_types: int) -> None:
        self._request_rate.asked(len(request.resource_names))
        check_request(request)
        check_unknown_types(unknown_types)

    def holds(self, size: int) -> None:
        self._held = size
        self._streams.hold(self._ticket, size)

    async def send(self, writing: Awaitable[None], size: int) -> None:
        self._request_rate.answered(size)
        self._streams.hold(self._ticket, self._held + size)
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await writing
        except TimeoutError:
            raise exhausted(
                f"responses must be read within {WRITE_SECONDS:g} s, one of {size:,} bytes was not"
            ) from None
        finally:
            self._streams.hold(self._ticket, self._held)
