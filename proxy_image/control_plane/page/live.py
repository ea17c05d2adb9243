"""Live pages: one view is rendered once a second, however many look at it, and sent as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

from proxy_image.control_plane.watch.watcher import Watcher

# Open pages that are kept live; others are told to come again. A connection each, of the web server's 200.
MOST_PAGES = 100


class TooManyPagesError(Exception):
    """As many pages are live as may be."""


class Live:
    def __init__(self, watcher: Watcher, render: Callable[[str], dict[str, str] | None]) -> None:
        self._watcher = watcher
        self._render = render
        self._rendered: dict[str, bytes | None] = {}
        self._tick = -1
        self._pages = 0

    def frames(self, path: str) -> AsyncIterator[bytes]:
        """Raises `TooManyPagesError`."""
        if self._pages >= MOST_PAGES:
            raise TooManyPagesError
        return self._frames(path)

    async def _frames(self, path: str) -> AsyncIterator[bytes]:
        self._pages += 1
        try:
            with self._watcher.looking():
                seen = -1
                # The path's page may vanish (a service that goes); its last state then stays on the screen.
                while (frame := self._frame(seen, path)) is not None:
                    yield frame
                    seen = await self._watcher.next_tick(seen)
        finally:
            self._pages -= 1

    def _frame(self, tick: int, path: str) -> bytes | None:
        if tick != self._tick:
            self._rendered.clear()
            self._tick = tick
        if path not in self._rendered:
            update = self._render(path)
            # JSON has no raw line break, which would end an event's data.
            self._rendered[path] = None if update is None else f"data: {json.dumps(update)}\n\n".encode()
        return self._rendered[path]
