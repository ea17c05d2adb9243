"""Connections of the web server: each in time, all together in number and memory, and the newest always has a place."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from uvicorn.protocols.http.h11_impl import H11Protocol

# To send a whole request head, and for the next one on a connection that is kept.
IDLE_SECONDS = 10.0
# To read something of a response; and how many times so long for all of it.
STALLED_SECONDS = 10.0
MAX_FLUSHES = 12
MAX_UNREAD_BYTES = 32 * 2**20


class Connection(Protocol):
    @property
    def is_idle(self) -> bool:
        """Whether no request of it is being answered."""

    @property
    def is_stalled(self) -> bool:
        """Whether its client does not read."""

    @property
    def unread(self) -> int:
        """Bytes of responses that are not sent yet."""

    def abort(self) -> None: ...


class Connections:
    """All that are open, in the order in which they last became idle."""

    def __init__(self, most: int, *, most_unread: int = MAX_UNREAD_BYTES) -> None:
        self._most = most
        self._most_unread = most_unread
        self._open: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    @property
    def all(self) -> tuple[Connection, ...]:
        return tuple(self._open)

    def enter(self, connection: Connection) -> bool:
        """Takes a new connection in, instead of the one that waits longest where there are too many.

        One that asks for something asks at once: who waits longest wants nothing. False where all are being answered.
        """
        if len(self._open) >= self._most:
            waits = next((each for each in self._open if each.is_idle), None)
            gives_way = waits or next((each for each in self._open if each.is_stalled), None)
            if gives_way is None:
                return False
            self.leave(gives_way)
            gives_way.abort()
        self._open[connection] = None
        return True

    def became_idle(self, connection: Connection) -> None:
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def leave(self, connection: Connection) -> None:
        self._open.pop(connection, None)

    def has_written(self) -> None:
        """Whoever leaves most unread gives way where all together leave too much."""
        while sum(each.unread for each in self._open) > self._most_unread:
            largest = max(self._open, key=lambda each: each.unread)
            self.leave(largest)
            largest.abort()


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol, with these limits."""

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._connections = connections
        self._idle: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._flushes = 0
        self._left = 0

    @property
    def is_idle(self) -> bool:
        return not self._is_answering and self.unread == 0

    @property
    def is_stalled(self) -> bool:
        return self._stalled is not None or not self._is_answering

    @property
    def unread(self) -> int:
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def abort(self) -> None:
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's is so too
        super().connection_made(transport)
        if self._connections.enter(self):
            self._wait()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.leave(self)
        for timer in (self._idle, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # What comes does not prolong the wait: only a whole request ends it.
        self._wait_no_more_where_answering()

    def on_response_complete(self) -> None:
        self._connections.became_idle(self)
        self._flushes, self._left = 0, self.unread
        self._wait()
        super().on_response_complete()  # which begins with the next request, where that is there already
        self._wait_no_more_where_answering()
        self._connections.has_written()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._flushes, self._left = 0, self.unread
        self._stalled = self.loop.call_later(STALLED_SECONDS, self._not_read)
        self._connections.has_written()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self.loop.call_later(IDLE_SECONDS, self._waited)

    def _wait_no_more_where_answering(self) -> None:
        if self._is_answering and self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _waited(self) -> None:
        if self._stalled is not None or self._reads_on():
            self._wait()
        else:
            self.abort()

    def _not_read(self) -> None:
        if self._reads_on():
            self._stalled = self.loop.call_later(STALLED_SECONDS, self._not_read)
        else:
            self.abort()

    def _reads_on(self) -> bool:
        """Whether the client has read something of what is written since this was asked last."""
        before, self._left, self._flushes = self._left, self.unread, self._flushes + 1
        return 0 < self._left < before and self._flushes <= MAX_FLUSHES
