"""A client and a server on bare HTTP/2 frames, for what gRPC's libraries never do: they still speak gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.parse
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hyperframe.frame import GoAwayFrame

from tests.transparency.peers.script import METHOD, SCRIPT, Call, Metadata, Outcome, Step, pairs, shown, written

READ_BYTES = 2**16
METADATA_BYTES = 8 * 2**20
# https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
STATUS_OF_RESET = {7: 14, 8: 1, 11: 8, 12: 7}
CANCEL = 8
MAX_STREAM = 2**31 - 1
INTERNAL, UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED = 13, 14, 4, 1
# hpack codes a text bit by bit, in a time that grows with the square of its length; many calls have the same long ones.
HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
HUFFMAN.encode = cache(HUFFMAN.encode)  # type: ignore[method-assign]  # the one way in
OWN_KEYS = {"content-type", "te", "grpc-timeout", "grpc-status", "grpc-message", "user-agent"}


@dataclass
class Stream:
    """What the peer has sent on one stream, and whether it has ended it."""

    number: int
    headers: list[list[tuple[str, str]]] = field(default_factory=list)
    buffer: bytearray = field(default_factory=bytearray)
    is_over: bool = False
    reset: int | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def message(self) -> bytes | None:
        if len(self.buffer) < 5:
            return None
        end = 5 + int.from_bytes(self.buffer[1:5])
        if len(self.buffer) < end:
            return None
        message = bytes(self.buffer[5:end])
        del self.buffer[:end]
        return message


class Connection:
    """One HTTP/2 connection. `acknowledges` says whether windows open again as data comes. While `reads` is not set,
    what comes stays in the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_client: bool) -> None:
        config = h2.config.H2Configuration(
            client_side=is_client, header_encoding="utf-8", validate_inbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        self.h2.encoder.huffman_coder = HUFFMAN
        self.reader, self.writer = reader, writer
        self.streams: dict[int, Stream] = {}
        self.acknowledges = True
        self.on_stream: Callable[[Stream], None] | None = None
        self.is_over = False
        self.goaway: int | None = None
        self.reads = asyncio.Event()
        self.reads.set()
        self._window = asyncio.Event()
        self._ponged = asyncio.Event()

    def start(self, settings: dict[int, int] | None = None) -> None:
        codes = h2.settings.SettingCodes
        self.h2.initiate_connection()
        # h2 has its own defaults in the first SETTINGS.
        self.h2.update_settings({codes.MAX_HEADER_LIST_SIZE: METADATA_BYTES, **(settings or {})})
        self.flush()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data and not self.writer.is_closing():
            self.writer.write(data)

    async def run(self) -> None:
        try:
            while await self.reads.wait() and (data := await self.reader.read(READ_BYTES)):
                for event in self.h2.receive_data(data):
                    self._take(event)
                self.flush()
        except (OSError, h2.exceptions.ProtocolError):
            self.flush()
        self.is_over = True
        for stream in self.streams.values():
            stream.changed.set()
        self._window.set()
        self._ponged.set()

    def _take(self, event: Any) -> None:
        events = h2.events
        if isinstance(event, events.WindowUpdated | events.RemoteSettingsChanged):
            self._window.set()
        if isinstance(event, events.PingAckReceived):
            self._ponged.set()
        if isinstance(event, events.ConnectionTerminated):
            self.goaway = int(event.error_code or 0)
        number = getattr(event, "stream_id", None)
        if not number:
            return
        stream = self.streams.setdefault(number, Stream(number))
        match event:
            case (
                events.RequestReceived()
                | events.InformationalResponseReceived()
                | events.ResponseReceived()
                | events.TrailersReceived()
            ):
                stream.headers.append([(str(key), str(value)) for key, value in event.headers])
                if isinstance(event, events.RequestReceived) and self.on_stream is not None:
                    self.on_stream(stream)
            case events.DataReceived():
                stream.buffer += event.data
                if self.acknowledges and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, number)
            case events.StreamEnded():
                stream.is_over = True
            case events.StreamReset():
                stream.is_over, stream.reset = True, int(event.error_code)
        stream.changed.set()

    async def next(self, stream: Stream) -> bytes | None:
        while (message := stream.message()) is None:
            if stream.is_over or self.is_over:
                return None
            stream.changed.clear()
            await stream.changed.wait()
        return message

    async def send(self, stream: Stream, message: bytes) -> None:
        left = memoryview(b"\0" + len(message).to_bytes(4) + message)
        while left and stream.reset is None and not self.is_over:
            self._window.clear()
            room = min(self.h2.local_flow_control_window(stream.number), self.h2.max_outbound_frame_size)
            if room <= 0:
                await self._window.wait()
                continue
            self.h2.send_data(stream.number, left[:room])
            left = left[room:]
            self.flush()
            await self.writer.drain()

    def send_headers(self, stream: Stream, headers: Sequence[tuple[str, str]], *, end: bool = False) -> None:
        self.h2.send_headers(stream.number, headers, end_stream=end)
        self.flush()

    def reset(self, stream: Stream, code: int) -> None:
        if stream.reset is None and not self.is_over:
            with contextlib.suppress(h2.exceptions.StreamClosedError):
                self.h2.reset_stream(stream.number, code)
            stream.is_over, stream.reset = True, code
            self.flush()

    def half_close(self, stream: Stream) -> None:
        self.h2.end_stream(stream.number)
        self.flush()

    def go_away(self, last_stream: int = MAX_STREAM) -> None:
        """GOAWAY without an error: streams up to this one go on."""
        self.flush()
        self.writer.write(GoAwayFrame(0, last_stream_id=last_stream).serialize())

    async def ping(self) -> None:
        """Until the peer has answered."""
        self._ponged.clear()
        self.h2.ping(b"pingpong")
        self.flush()
        await self._ponged.wait()

    def new_stream(self) -> Stream:
        number = self.h2.get_next_available_stream_id()
        return self.streams.setdefault(number, Stream(number))


@asynccontextmanager
async def connected(port: int, **settings: int) -> AsyncIterator[Connection]:
    connection = Connection(*await asyncio.open_connection("127.0.0.1", port), is_client=True)
    connection.start({int(h2.settings.SettingCodes[name.upper()]): value for name, value in settings.items()})
    reading = asyncio.create_task(connection.run())
    try:
        yield connection
    finally:
        reading.cancel()
        connection.writer.close()


def request(sent: Metadata, *, path: str = METHOD, authority: str = "rng", **own: str) -> list[tuple[str, str]]:
    required = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", authority)]
    own = {"content-type": "application/grpc", "te": "trailers", **own}
    return [*required, *own.items(), *written(sent)]


async def outcome(call: Call, on: Connection) -> Outcome:
    own = {} if call.deadline is None else {"grpc-timeout": f"{int(call.deadline * 1000)}m"}
    stream = on.new_stream()
    on.send_headers(stream, request(call.sent, **own))
    received: list[str] = []
    try:
        async with asyncio.timeout(call.deadline):
            await _steps(call, on, stream, received)
            while not (stream.is_over or on.is_over):
                stream.changed.clear()
                await stream.changed.wait()
    except TimeoutError:
        on.reset(stream, CANCEL)
        return Outcome(DEADLINE_EXCEEDED, "", received=tuple(received))
    return _seen(stream, on, received)


async def _steps(call: Call, on: Connection, stream: Stream, received: list[str]) -> None:
    for name, *arguments in call.caller:
        match name:
            case "send":
                for _ in range(arguments[1]):
                    await on.send(stream, b"m" * arguments[0])
            case "half-close" if stream.reset is None and not on.is_over:
                on.half_close(stream)
            case "read" | "read-all":
                while name == "read-all" or len(received) < arguments[0]:
                    message = await on.next(stream)
                    if message is None:
                        break
                    received.append(shown(message))
            case "sleep":
                await asyncio.sleep(arguments[0])
            case "cancel":
                on.reset(stream, CANCEL)


def _seen(stream: Stream, on: Connection, received: list[str]) -> Outcome:
    if not stream.headers:
        return Outcome(_status_of(stream), "", received=tuple(received))
    headers = [_metadata(some) for some in stream.headers]
    last = dict(stream.headers[-1])
    initial = headers[0] if len(headers) > 1 or "grpc-status" not in last else ()
    if "grpc-status" in last:
        message = urllib.parse.unquote(last.get("grpc-message", ""))
        return Outcome(int(last["grpc-status"]), message, initial, headers[-1], tuple(received))
    return Outcome(_status_of(stream), "", initial, (), tuple(received))


def _status_of(stream: Stream) -> int:
    return UNAVAILABLE if stream.reset is None else STATUS_OF_RESET.get(stream.reset, INTERNAL)


def _metadata(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return pairs([(key, value) for key, value in headers if not key.startswith(":") and key not in OWN_KEYS])


@dataclass
class Server:
    """What it takes (SETTINGS), each connection that it has had, and when it begins to end one."""

    port: int = 0
    max_age_seconds: float | None = None
    settings: dict[int, int] = field(default_factory=dict)
    connections: list[Connection] = field(default_factory=list)
    acknowledges: bool = True
    _calls: dict[asyncio.Task[None], Connection] = field(default_factory=dict)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, is_client=False)
        connection.acknowledges = self.acknowledges
        self.connections.append(connection)
        connection.on_stream = lambda stream: self._start(connection, stream)
        connection.start(self.settings)
        aging = asyncio.create_task(self._age(connection))
        try:
            await connection.run()
        finally:
            aging.cancel()
            writer.close()

    async def _age(self, connection: Connection) -> None:
        """As gRPC's servers do: https://github.com/grpc/proposal/blob/master/A9-server-side-conn-mgt.md"""
        if self.max_age_seconds is not None:
            await asyncio.sleep(self.max_age_seconds)
            await self.retire(connection)

    async def retire(self, connection: Connection) -> None:
        """Takes no more calls on it, and ends it once those it has are over."""
        connection.go_away()
        # Calls that were on their way before this GOAWAY have come when its PING is answered.
        await connection.ping()
        connection.go_away(max(connection.streams, default=0))
        while calls := [call for call, on in self._calls.items() if on is connection]:
            await asyncio.wait(calls)
        # Not closed before all is read: the kernel would throw away what it has not sent.
        with contextlib.suppress(OSError):
            connection.writer.write_eof()

    def _start(self, connection: Connection, stream: Stream) -> None:
        call = asyncio.create_task(_serve(connection, stream))
        self._calls[call] = connection
        call.add_done_callback(self._calls.pop)

    def end(self) -> None:
        for call in [*self._calls]:
            call.cancel()
        for connection in self.connections:
            connection.writer.close()


@asynccontextmanager
async def server(
    *, acknowledges: bool = True, max_age_seconds: float | None = None, **settings: int
) -> AsyncIterator[Server]:
    codes = {int(h2.settings.SettingCodes[name.upper()]): value for name, value in settings.items()}
    running = Server(max_age_seconds=max_age_seconds, settings=codes, acknowledges=acknowledges)
    listening = await asyncio.start_server(running._connected, "127.0.0.1", 0)
    running.port = listening.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        listening.close()
        running.end()


async def _serve(on: Connection, stream: Stream) -> None:
    metadata = _metadata(stream.headers[0])
    steps: Sequence[Step] = json.loads(dict(metadata)[SCRIPT])
    begun = False
    end: Sequence[Any] = (0, "", ())
    for name, *arguments in steps:
        if stream.reset is not None or on.is_over:
            return
        if not begun and name in ("initial", "send", "tell"):
            begun = True
            on.send_headers(stream, [*_RESPONSE, *(written(arguments[0]) if name == "initial" else ())])
        match name:
            case "read":
                for _ in range(arguments[0]):
                    await on.next(stream)
            case "read-all":
                while await on.next(stream) is not None:
                    pass
            case "send":
                for _ in range(arguments[1]):
                    await on.send(stream, b"m" * arguments[0])
            case "sleep":
                await asyncio.sleep(arguments[0])
            case "tell":
                await on.send(stream, json.dumps(metadata).encode())
            case "stay":
                while not (stream.reset is not None or on.is_over):
                    stream.changed.clear()
                    await stream.changed.wait()
                return
            case "end":
                end = arguments
    if stream.reset is None and not on.is_over:
        status = [("grpc-status", str(end[0])), ("grpc-message", urllib.parse.quote(end[1], safe=" "))]
        on.send_headers(stream, [*(() if begun else _RESPONSE), *status, *written(end[2])], end=True)


_RESPONSE = [(":status", "200"), ("content-type", "application/grpc")]
