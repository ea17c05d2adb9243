"""The current snapshot, and a way to wait for the next one."""

from __future__ import annotations

import asyncio

from proxy_image.control_plane.xds.snapshot import Snapshot


class SnapshotCache:
    """Holds one snapshot. Whoever waits gets the newest; those in between are skipped on purpose."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.snapshot: Snapshot | None = None

    async def publish(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        # All that wait go on in the same round of the event loop: Envoy does not queue behind a thousand clients.
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def newer_than(self, seen: Snapshot | None) -> Snapshot:
        """The current snapshot, as soon as it is another one than `seen`."""
        while self.snapshot is None or self.snapshot is seen:
            await self._changed.wait()
        return self.snapshot
