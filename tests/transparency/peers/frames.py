"""A caller and a server that send the frames they are told to, right or wrong, and tell what they got."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import h2.settings

from tests.transparency.peers import raw_h2
from tests.transparency.peers.raw_h2 import Connection, Stream

Headers = Sequence[tuple[str, str]]
Step = tuple[Any, ...]

CASE = "case"
PATIENCE_SECONDS = 60
MAX_STREAMS = 1000

REQUEST: Headers = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/transparency.Peer/Frames"),
    (":authority", "rng"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
)
RESPONSE: Headers = ((":status", "200"), ("content-type", "application/grpc"))
OK: Headers = (("grpc-status", "0"),)
MESSAGE = b"\0\0\0\0\1x"
ANSWER: Sequence[Step] = (("half-closed",), ("headers", RESPONSE), ("data", MESSAGE), ("end", OK))


@dataclass(frozen=True)
class Exchange:
    """Steps of either side: ("headers", HEADERS), ("data", BYTES), ("end", HEADERS or nothing), ("reset", CODE), and
    what they wait for: ("half-closed",), ("got", NUMBER of blocks of headers), ("filled", BYTES), ("ping",) until the
    peer has taken all before. The caller has sent `request` before.
    """

    request: Headers = REQUEST
    server: Sequence[Step] = ANSWER
    caller: Sequence[Step] = (("end",),)


@dataclass(frozen=True)
class Seen:
    """What one end got of the other: blocks of headers, the data, and the code where it was reset."""

    headers: tuple[tuple[tuple[str, str], ...], ...]
    data: bytes
    reset: int | None


def seen(stream: Stream) -> Seen:
    blocks = tuple(tuple((key, value) for key, value in block if key != CASE) for block in stream.headers)
    return Seen(blocks, bytes(stream.buffer), stream.reset)


@dataclass
class Server:
    """Does what the exchange of a call's name says. `calls` are the last of each name, `every` all in their order."""

    exchanges: dict[str, Exchange]
    port: int = 0
    calls: dict[str, Stream] = field(default_factory=dict)
    every: list[Stream] = field(default_factory=list)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = unchecked(Connection(reader, writer, is_client=False))
        connection.on_stream = lambda stream: self._start(connection, stream)
        connection.start({int(h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS): MAX_STREAMS})
        try:
            await connection.run()
        finally:
            writer.close()

    def _start(self, connection: Connection, stream: Stream) -> None:
        name = dict(stream.headers[0])[CASE]
        self.calls[name] = stream
        self.every.append(stream)
        call = asyncio.create_task(play(connection, stream, self.exchanges[name.partition("|")[0]].server))
        self._running.add(call)
        call.add_done_callback(self._running.discard)

    async def answered(self) -> None:
        """Until all calls that have come are answered."""
        while self._running:
            await asyncio.wait(self._running)

    def end(self) -> None:
        for call in [*self._running]:
            call.cancel()


@asynccontextmanager
async def server(exchanges: dict[str, Exchange]) -> AsyncIterator[Server]:
    running = Server(exchanges)
    listening = await asyncio.start_server(running.connected, "127.0.0.1", 0)
    running.port = listening.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        running.end()
        listening.close()


@asynccontextmanager
async def caller(port: int) -> AsyncIterator[Connection]:
    async with raw_h2.connected(port) as connection:
        yield unchecked(connection)


def unchecked(connection: Connection) -> Connection:
    """h2 sends what HTTP forbids, too."""
    connection.h2.config.validate_outbound_headers = False
    connection.h2.config.normalize_outbound_headers = False
    return connection


async def call(name: str, exchange: Exchange, on: Connection) -> Stream:
    """The stream, once it is over."""
    return await over(on, await played(name, exchange, on))


async def played(name: str, exchange: Exchange, on: Connection) -> Stream:
    """The stream, once its caller has done its steps."""
    stream = on.new_stream()
    on.send_headers(stream, [*exchange.request, (CASE, name)])
    await play(on, stream, exchange.caller)
    return stream


async def over(on: Connection, stream: Stream) -> Stream:
    await until(on, stream, lambda: stream.is_over)
    return stream


async def play(on: Connection, stream: Stream, steps: Sequence[Step]) -> None:
    for name, *arguments in steps:
        if name == "half-closed":
            await until(on, stream, lambda: stream.is_over)
        elif name == "got":
            await until(on, stream, lambda number=arguments[0]: len(stream.headers) >= number)
        elif name == "filled":
            await until(on, stream, lambda size=arguments[0]: len(stream.buffer) >= size)
        if stream.reset is not None or on.is_over:
            return
        match name:
            case "headers":
                on.send_headers(stream, arguments[0])
            case "data":
                on.h2.send_data(stream.number, arguments[0])
            case "end" if arguments:
                on.send_headers(stream, arguments[0], end=True)
            case "end":
                on.half_close(stream)
            case "reset":
                on.reset(stream, arguments[0])
            case "ping":
                await on.ping()
        on.flush()


async def until(on: Connection, stream: Stream, condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (condition() or stream.is_over or on.is_over):
            stream.changed.clear()
            await stream.changed.wait()
