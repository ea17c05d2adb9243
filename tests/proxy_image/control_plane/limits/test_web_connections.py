"""The web server's connections, with a real server and sockets: those that are slow or silent end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from proxy_image.control_plane.limits import web_connections
from proxy_image.control_plane.web.server import serve
from tests.proxy_image.control_plane.support import eventually

# Only a connection that is never closed waits so long.
CLOSED_SECONDS = 60
SMALL = b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE_BYTES = 16 * 2**20

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def small(_request: Request) -> Response:
    return PlainTextResponse("small")


async def large(_request: Request) -> Response:
    return PlainTextResponse("x" * LARGE_BYTES)


async def follow(_request: Request) -> Response:
    async def ticks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"tick"
            await asyncio.sleep(0.1)

    return StreamingResponse(ticks())


def shorten(patch: pytest.MonkeyPatch, seconds: float = 0.5) -> None:
    patch.setattr(web_connections, "IDLE_SECONDS", seconds)
    patch.setattr(web_connections, "STALLED_SECONDS", seconds)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


def watched(monkeypatch: pytest.MonkeyPatch, **limits: int) -> web_connections.Connections:
    """The connections of the next server."""
    made = web_connections.Connections(20, **limits)
    monkeypatch.setattr("proxy_image.control_plane.web.server.Connections", lambda _most: made)
    return made


@asynccontextmanager
async def server(connections: int = 20) -> AsyncIterator[int]:
    app = Starlette(
        routes=[Route("/small", small, methods=["GET", "POST"]), Route("/large", large), Route("/", follow)]
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.ensure_future(serve(app, listening, connections=connections))
        try:
            yield listening.getsockname()[1]
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


@asynccontextmanager
async def connected(port: int, count: int = 1) -> AsyncIterator[list[Connection]]:
    opened = [await asyncio.open_connection("127.0.0.1", port, limit=2**12) for _ in range(count)]
    try:
        yield opened
    finally:
        for _, writing in opened:
            writing.transport.abort()


async def read_all(connection: Connection) -> bytes:
    read = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(CLOSED_SECONDS):
            while more := await connection[0].read(2**16):
                read += more
    return read


async def drip(connection: Connection) -> None:
    """A byte every tenth of a second, until the other end has closed."""
    with contextlib.suppress(ConnectionError):
        while not connection[1].is_closing():
            connection[1].write(b"x")
            await connection[1].drain()
            await asyncio.sleep(0.1)


UNFINISHED = {
    "nothing": b"",
    "half a head": b"GET /small HTTP/1.1\r\nHost: localhost\r\nX: ",
    "half a body": b"POST /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n",
    "one request": SMALL,
    "one and a half": SMALL + b"GET /sm",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def read() -> dict[tuple[str, bool], bytes]:
    """What each unfinished request was answered before the server closed, silent or dripping after it: all at once."""
    answered: dict[tuple[str, bool], bytes] = {}

    async def say(port: int, what: str, drips: bool) -> None:
        async with connected(port) as (one,):
            one[1].write(UNFINISHED[what])
            dripping = asyncio.ensure_future(drip(one)) if drips and what not in ("nothing", "one request") else None
            answered[what, drips] = await read_all(one)
            if dripping is not None:
                dripping.cancel()
                await asyncio.gather(dripping, return_exceptions=True)

    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        async with server() as port:
            await asyncio.gather(*(say(port, what, drips) for what in UNFINISHED for drips in (False, True)))
    return answered


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("what", UNFINISHED)
@pytest.mark.parametrize("drips", [False, True])
async def test_a_connection_without_a_whole_request_is_closed(
    read: dict[tuple[str, bool], bytes], what: str, drips: bool
) -> None:
    # THEN it reads to its end, what came first is answered, and no more
    assert read[what, drips].count(b"small") == (1 if b"\r\n\r\n" in UNFINISHED[what] else 0)


@pytest.mark.parametrize("requests", [1, 20])
async def test_a_client_that_reads_nothing_is_closed(
    short: None, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = watched(monkeypatch)
    async with server() as port, connected(port) as (one,):
        one[1].write(LARGE * requests)
        await eventually(lambda: limits.all, seconds=CLOSED_SECONDS)
        await eventually(lambda: not limits.all, seconds=CLOSED_SECONDS)
        assert len(await read_all(one)) < LARGE_BYTES


async def test_a_client_that_reads_slowly_has_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN one that takes 5 s, of which the server allows 2 s for each piece, as this process may stand still too."""
    shorten(monkeypatch, 2)
    # How often so long is for a reader that never ends; on a busy machine this one takes longer.
    monkeypatch.setattr(web_connections, "MAX_FLUSHES", 1_000)
    async with server() as port, connected(port) as (one,):
        one[1].write(LARGE)
        read = 0
        while read < LARGE_BYTES:
            more = await one[0].read(2**17)
            assert more
            read += len(more)
            await asyncio.sleep(0.04)


async def test_a_page_that_is_live_stays(short: None) -> None:
    async with server() as port, connected(port) as (one,):
        one[1].write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await read_all(one)).count(b"tick") == 20


async def test_whoever_comes_is_served_instead_of_the_one_that_waits_longest() -> None:
    async with server(connections=5) as port, connected(port, 5) as silent, connected(port) as (asks,):
        asks[1].write(SMALL)
        assert b"small" in await asyncio.wait_for(asks[0].readuntil(b"small"), CLOSED_SECONDS)
        # THEN just one gave way, the first
        async with asyncio.timeout(CLOSED_SECONDS):
            with contextlib.suppress(ConnectionError):
                assert await silent[0][0].read() == b""
        for reading, writing in silent[1:]:
            writing.write(SMALL)
            assert await asyncio.wait_for(reading.readuntil(b"small"), CLOSED_SECONDS)


async def test_nobody_gives_way_while_all_are_answered() -> None:
    async with server(connections=3) as port, connected(port, 3) as live:
        for _, writing in live:
            writing.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        for reading, _ in live:
            await reading.readuntil(b"tick")
        async with connected(port) as (more,):
            assert await read_all(more) == b""
        assert [(await read_all(one)).count(b"tick") for one in live] == [19] * 3


async def test_what_all_leave_unread_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_connections, "MAX_UNREAD_BYTES", 3 * LARGE_BYTES)
    limits = watched(monkeypatch, most_unread=3 * LARGE_BYTES)
    async with server() as port, connected(port, 8) as unread:
        for _, writing in unread:
            writing.write(LARGE)
        await eventually(lambda: 0 < len(limits) < 8, seconds=CLOSED_SECONDS)
        assert sum(each.unread for each in limits.all) <= 3 * LARGE_BYTES
