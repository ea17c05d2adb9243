"""A target that falls silent leaves a line of the log, once, and another when that is over."""

from __future__ import annotations

import logging

import pytest

from proxy_image.control_plane.stats.silence_log import tell
from proxy_image.control_plane.stats.silent_targets import NO_SILENCES, Silences, Unanswered

SILENT = Silences({"orders": {"10.0.0.1:50051": Unanswered(since=0.0, waiting=3, sent=9)}})


def test_a_target_that_falls_silent_is_told_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for before, after in [(NO_SILENCES, SILENT), (SILENT, SILENT), (SILENT, NO_SILENCES)]:
        tell(before, after)
    fell, over = caplog.records
    assert (fell.levelname, fell.message) == ("WARNING", "target does not answer")
    assert vars(fell)["facts"] == {
        "service": "orders",
        "target": "10.0.0.1:50051",
        "calls_waiting": 3,
        "calls_sent": 9,
    }
    assert (over.levelname, over.message) == ("INFO", "target answers or is gone")
