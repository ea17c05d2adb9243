"""The only way from tasks, Lambda and clients to AWS: a TCP forwarder that can hang or refuse, to play an outage."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from enum import StrEnum

CHUNK = 64 * 1024


class Mode(StrEnum):
    NONE = "none"
    """Everything passes."""
    HANG = "hang"
    """Connections are accepted and stay open, and nothing moves on them, old ones included."""
    REFUSE = "refuse"
    """Nobody listens, and connections are cut."""


class AwsFront:
    def __init__(self, upstream: tuple[str, int]) -> None:
        self.mode = Mode.NONE
        self._upstream = upstream
        self._address: tuple[str, int] | None = None
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, listening: socket.socket) -> None:
        """Take over a listening socket."""
        self._address = listening.getsockname()
        self._server = await asyncio.start_server(self._accept, sock=listening, limit=CHUNK)

    async def set_mode(self, mode: Mode) -> None:
        self.mode = mode
        if mode is Mode.HANG:
            self._flowing.clear()
        else:
            self._flowing.set()
        if mode is Mode.REFUSE:
            if self._server is not None:
                self._server.close()
                self._server = None
            for connection in self._connections:
                connection.cancel()
        elif self._server is None and self._address is not None:
            self._server = await asyncio.start_server(self._accept, *self._address, limit=CHUNK, backlog=512)

    async def stop(self) -> None:
        await self.set_mode(Mode.REFUSE)
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None  # noqa: S101 - asyncio runs the callback as a task
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        try:
            await self._forward(reader, writer)
        except (OSError, asyncio.CancelledError):  # broken on one side, or cut by a refusal
            _reset(writer)
        finally:
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        up_reader, up_writer = await asyncio.open_connection(*self._upstream, limit=CHUNK)
        ways = [asyncio.create_task(self._copy(reader, up_writer)), asyncio.create_task(self._copy(up_reader, writer))]
        try:
            await asyncio.gather(*ways)
        finally:
            for way in ways:
                way.cancel()
            up_writer.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        await self._flowing.wait()
        with suppress(OSError):
            if writer.can_write_eof():
                writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a broken peer does: linger on, for zero seconds (socket(7))."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
