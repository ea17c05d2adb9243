"""The current snapshot, and a way to wait for the next one."""

from __future__ import annotations

import asyncio

from proxy_image.control_plane.xds.snapshot import Snapshot


class SnapshotCache:
    """Holds one snapshot. Whoever waits gets the newest; those in between are skipped on purpose."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self.snapshot: Snapshot | None = None

    async def publish(self, snapshot: Snapshot) -> None:
        async with self._changed:
            self.snapshot = snapshot
            self._changed.notify_all()

    async def newer_than(self, seen: Snapshot | None) -> Snapshot:
        """The current snapshot, as soon as it is another one than `seen`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.snapshot is not None and self.snapshot is not seen)
            assert self.snapshot is not None  # noqa: S101 - what was waited for
            return self.snapshot
