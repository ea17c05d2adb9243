"""What the reconciler says of trouble, and how often."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from grpc_lb_contract import Document
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.sources.last_good import LastGood
from proxy_image.control_plane.sources.poll_intervals import Intervals
from proxy_image.control_plane.sources.sink import Trouble
from proxy_image.control_plane.sources.ssm import SsmSource
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.envoy.listeners import Ports
from proxy_image.control_plane.xds.snapshot import InconsistentSnapshotError, Snapshot
from proxy_image.control_plane.xds.snapshot_maker import SnapshotMaker
from tests.proxy_image.control_plane.fakes import PREFIX, FakeParameters
from tests.proxy_image.control_plane.support import logged, rng, target


async def test_a_document_not_taken_is_said_every_minute_while_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    """So that an alarm on the line does not clear itself while the trouble lasts."""
    now = 1000.0
    reconciler = Reconciler(SnapshotCache(), Ports("127.0.0.1", 1, 2), ControlPlaneState(), clock=lambda: now)

    def said() -> int:
        return len(logged(caplog, "document not taken"))

    # WHEN each of ten minutes' readings fails, one a second
    for _ in range(600):
        reconciler.troubled(Trouble.UNREACHABLE, "no answer")
        now += 1
    # THEN it is said once a minute
    assert said() == 10
    # AND another trouble at once
    reconciler.troubled(Trouble.DENIED, "no credentials")
    reconciler.troubled(Trouble.DENIED, "no credentials")
    assert said() == 11
    # AND the same one at once where it was over in between
    reconciler.confirmed()
    reconciler.troubled(Trouble.DENIED, "no credentials")
    assert said() == 12
    await reconciler.close()


async def test_a_document_of_which_no_snapshot_can_be_made_stays_a_trouble_until_the_source_has_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    make = SnapshotMaker.make

    def make_no_two(maker: SnapshotMaker, document: Document, generation: str | None = None) -> Snapshot:
        if document == rng(target(2)):
            raise InconsistentSnapshotError("route calls names cluster two, which is not there")
        return make(maker, document, generation)

    monkeypatch.setattr(SnapshotMaker, "make", make_no_two)
    parameters, state = FakeParameters(), ControlPlaneState()
    reconciler = Reconciler(SnapshotCache(), Ports("127.0.0.1", 1, 2), state)
    source = SsmSource(
        parameters, prefix=PREFIX, intervals=Intervals(1, 1), last_good=LastGood(tmp_path, PREFIX), sink=reconciler
    )
    # GIVEN a document in use WHEN the next one makes an inconsistent snapshot
    parameters.publish(rng(target(1)))
    await source.read()
    confirmed_at = state.confirmed_at
    parameters.publish(rng(target(2)))
    for _ in range(3):
        await source.read()
    # THEN that is a trouble however often the source is read, and nothing confirms what is in use
    assert reconciler.problem == (Trouble.INTERNAL, "route calls names cluster two, which is not there")
    assert (reconciler.document, state.confirmed_at) == (rng(target(1)), confirmed_at)
    assert len(logged(caplog, "document not taken")) == 1
    assert not logged(caplog, "document readable again")
    # AND it is over with a document that is taken, be it the one in use
    parameters.publish(rng(target(1)))
    await source.read()
    assert reconciler.problem is None
    assert len(logged(caplog, "document readable again")) == 1
    await reconciler.close()
