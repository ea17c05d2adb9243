"""A call through the balancer is as it is without it, and nobody beside it notices; or the documentation says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transparency.matrix import SERVERS, unexpected_differences

ROUNDS = 5
# They take longer than any other test that shares nothing. As a group they begin before those, and not at the end, when
# every other process is through.
pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("matrix")]


@pytest.mark.parametrize("served_by", SERVERS)
async def test_invariant_13_calls_go_through_the_balancer_as_they_do_directly(tmp_path: Path, served_by: str) -> None:
    assert await unexpected_differences(tmp_path, served_by) == []


@pytest.mark.long
@pytest.mark.parametrize("served_by", SERVERS)
async def test_invariant_13_calls_go_through_the_balancer_as_they_do_directly_each_time(
    tmp_path: Path, served_by: str
) -> None:
    assert await unexpected_differences(tmp_path, served_by, ROUNDS) == []
