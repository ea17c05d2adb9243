"""What the applier says of trouble, and how often."""

from __future__ import annotations

import pytest

from proxy_image.control_plane.applier import Applier
from proxy_image.control_plane.metrics import Metrics
from proxy_image.control_plane.sources.sink import Trouble
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.listeners import Ports
from tests.proxy_image.control_plane.support import logged


async def test_a_document_not_taken_is_said_every_minute_while_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    """So that an alarm on the line does not clear itself while the trouble lasts."""
    now = 1000.0
    applier = Applier(SnapshotCache(), Ports("127.0.0.1", 1, 2), Metrics(), clock=lambda: now)

    def said() -> int:
        return len(logged(caplog, "document not taken"))

    # WHEN each of ten minutes' readings fails, one a second
    for _ in range(600):
        applier.troubled(Trouble.UNREACHABLE, "no answer")
        now += 1
    # THEN it is said once a minute
    assert said() == 10
    # AND another trouble at once
    applier.troubled(Trouble.DENIED, "no credentials")
    applier.troubled(Trouble.DENIED, "no credentials")
    assert said() == 11
    # AND the same one at once where it was over in between
    applier.confirmed()
    applier.troubled(Trouble.DENIED, "no credentials")
    assert said() == 12
    await applier.close()
