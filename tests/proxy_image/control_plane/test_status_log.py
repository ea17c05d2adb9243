"""The line that says each minute how things stand."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

import pytest

from proxy_image.control_plane import status_log
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.sources.sink import Origin
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.envoy.listeners import Ports
from tests.proxy_image.control_plane.support import eventually, logged, rng, target


async def test_a_line_comes_again_and_again_with_generation_age_and_origin(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(status_log, "TELL_SECONDS", 0.01)
    state = ControlPlaneState()
    reconciler = Reconciler(SnapshotCache(), Ports("127.0.0.1", 1, 2), state)
    telling = asyncio.create_task(status_log.tell_of_following(reconciler, state))
    try:
        await eventually(lambda: logged(caplog, "following"))
        assert logged(caplog, "following")[0] == {
            "generation": None,
            "target_list_age_seconds": None,
            "origin": Origin.NONE,
        }
        started = time.monotonic()
        await reconciler.found(rng(target(1)), Origin.SSM)
        reconciler.confirmed()
        before = len(logged(caplog, "following"))
        await eventually(lambda: len(logged(caplog, "following")) > before + 2)
        said = logged(caplog, "following")[-1]
        assert (said["generation"], said["origin"]) == (reconciler.generation, Origin.SSM)
        assert 0 <= said["target_list_age_seconds"] <= time.monotonic() - started + 0.05  # rounded to tenths
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        await reconciler.close()
