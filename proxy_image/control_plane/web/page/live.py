"""Live pages: one view is rendered and compressed once a second, however many look at it; server-sent events."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from proxy_image.control_plane.stats.watcher import Watcher

# Open pages that are kept live; others are told to come again. A connection each, of the web server's 200.
MAX_PAGES = 100

# A gzip stream is this header and deflate blocks (RFC 1952, 2.3). Each frame is compressed by itself and flushed to a
# whole byte, so a client that comes later can start with any frame, and all are sent the same bytes.
GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_COMPRESSION_LEVEL = 1


class TooManyPagesError(Exception):
    """As many pages are live as may be."""


@dataclass(frozen=True, slots=True)
class Frame:
    plain: bytes
    compressed: bytes


class Live:
    def __init__(self, watcher: Watcher, render: Callable[[str], dict[str, str] | None]) -> None:
        self._watcher = watcher
        self._render = render
        self._frames: dict[str, Frame | None] = {}
        self._tick = -1
        self._pages = 0

    def follow(self, path: str, *, compressed: bool) -> AsyncIterator[bytes]:
        """Raises `TooManyPagesError`."""
        if self._pages >= MAX_PAGES:
            raise TooManyPagesError
        return self._follow(path, compressed=compressed)

    async def _follow(self, path: str, *, compressed: bool) -> AsyncIterator[bytes]:
        self._pages += 1
        try:
            with self._watcher.looking():
                if compressed:
                    yield GZIP_HEADER
                seen = self._watcher.ticks
                # The path's page may vanish (a service that goes); its last state then stays on the screen.
                while (frame := self._frame(seen, path)) is not None:
                    yield frame.compressed if compressed else frame.plain
                    seen = await self._watcher.next_tick(seen)
        finally:
            self._pages -= 1

    def _frame(self, tick: int, path: str) -> Frame | None:
        if tick != self._tick:
            self._frames.clear()
            self._tick = tick
        if path not in self._frames:
            update = self._render(path)
            self._frames[path] = None if update is None else frame_of(update)
        return self._frames[path]


def frame_of(update: dict[str, str]) -> Frame:
    # JSON has no raw line break, which would end an event's data.
    plain = f"data: {json.dumps(update)}\n\n".encode()
    deflate = zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Frame(plain, deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH))
