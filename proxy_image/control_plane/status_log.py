"""One log line a minute that says how the targets stand, so that silence means that something is wrong."""

from __future__ import annotations

import asyncio
import logging

from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.state import ControlPlaneState

log = logging.getLogger(__name__)

TELL_SECONDS = 60.0


async def tell_of_following(reconciler: Reconciler, state: ControlPlaneState) -> None:
    """Never returns."""
    while True:
        await asyncio.sleep(TELL_SECONDS)
        age = state.target_list_age_seconds
        facts = {
            "generation": reconciler.generation,
            "target_list_age_seconds": None if age is None else round(age, 1),
            "origin": reconciler.origin,
        }
        log.info("following", extra={"facts": facts})
