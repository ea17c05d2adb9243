"""One log line a minute that says how the targets stand, so that silence means that something is wrong."""

from __future__ import annotations

import asyncio
import logging
import time

from proxy_image.control_plane.metrics.control_plane_metrics import Metrics
from proxy_image.control_plane.reconciler import Reconciler

log = logging.getLogger(__name__)

TELL_SECONDS = 60.0


async def tell_of_following(reconciler: Reconciler, metrics: Metrics) -> None:
    """Never returns."""
    while True:
        await asyncio.sleep(TELL_SECONDS)
        age = None if metrics.confirmed_at is None else round(time.monotonic() - metrics.confirmed_at, 1)
        facts = {"generation": reconciler.generation, "target_list_age_seconds": age, "origin": reconciler.origin}
        log.info("following", extra={"facts": facts})
