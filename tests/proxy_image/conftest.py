"""Patience with Envoy: on a machine that runs all tests, its admin may take longer than a balancer waits for it."""

from __future__ import annotations

import pytest

from tests.waiting import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def patient_with_envoys_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what runs in the test's own process."""
    monkeypatch.setattr("proxy_image.envoy.admin.ANSWER_SECONDS", PATIENCE_SECONDS)
