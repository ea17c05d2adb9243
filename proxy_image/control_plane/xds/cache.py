"""The current snapshot, and who is told of the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from proxy_image.control_plane.xds.snapshot import Snapshot


class SnapshotCache:
    """Holds one snapshot. Whoever looks gets the newest; those in between are skipped on purpose."""

    def __init__(self) -> None:
        self._watchers: set[asyncio.Event] = set()
        self.snapshot: Snapshot | None = None

    async def publish(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        # All go on in the same round of the event loop: Envoy does not queue behind a thousand clients.
        for event in self._watchers:
            event.set()

    @contextmanager
    def sets(self, event: asyncio.Event) -> Iterator[None]:
        """Each new snapshot sets the event."""
        self._watchers.add(event)
        try:
            yield
        finally:
            self._watchers.discard(event)
