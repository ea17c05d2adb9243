"""Deadlines that a service sets: how callers see them end, and which of Envoy's routes takes which call."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import Deadline, TrafficPolicy
from proxy_image.control_plane.xds.envoy.deadlines import at_most
from tests.proxy_image.control_plane.policies import treated
from tests.proxy_image.control_plane.support import balancer, target
from tests.transparency.peers import grpc_aio
from tests.transparency.peers.script import Call

NANOSECONDS = {"n": 1, "u": 10**3, "m": 10**6, "S": 10**9, "M": 60 * 10**9, "H": 3600 * 10**9}
READ = [["half-close"], ["read-all"]]
DEADLINE_EXCEEDED = 4


@given(
    limit=st.integers(1, 86_400_000) | st.sampled_from([1, 10, 100, 250, 1_000, 60_000, 3_600_000, 86_400_000]),
    value=st.integers(0, 99_999_999) | st.integers(0, 300),
    unit=st.sampled_from(sorted(NANOSECONDS)),
    zeros=st.integers(0, 2),
)
def test_the_expression_takes_exactly_the_timeouts_that_are_no_longer(
    limit: int, value: int, unit: str, zeros: int
) -> None:
    text = "0" * zeros + str(value)
    is_taken = re.fullmatch(at_most(timedelta(milliseconds=limit)), text + unit) is not None
    if len(text) <= 8:
        assert is_taken == (value * NANOSECONDS[unit] <= limit * 10**6)


@pytest.mark.parametrize(
    ("deadline", "own"),
    [
        (Deadline(max=timedelta(milliseconds=300)), 60.0),
        (Deadline(max=timedelta(milliseconds=300)), None),
        (Deadline(max=timedelta(hours=1)), 0.3),
        (Deadline(default=timedelta(milliseconds=300)), None),
        (Deadline(default=timedelta(milliseconds=300)), 0.6),
        (Deadline(default=timedelta(milliseconds=300), max=timedelta(milliseconds=600)), None),
        (Deadline(default=timedelta(milliseconds=300), max=timedelta(milliseconds=600)), 60.0),
    ],
    ids=["max", "max without one", "max, own shorter", "default", "default, own longer", "both", "both, own longer"],
)
async def test_a_stream_that_has_begun_meets_a_services_deadline_with_its_status(
    tmp_path: Path, deadline: Deadline, own: float | None
) -> None:
    late = Call(READ, [["send", 1, 1], ["stay"]], deadline=own)
    async with grpc_aio.server() as port:
        document = treated(TrafficPolicy(deadline=deadline), target(port))
        async with balancer(tmp_path, document) as (_, envoy), grpc_aio.channel(envoy.settings.port) as channel:
            outcomes = await asyncio.gather(*(grpc_aio.outcome(late, channel) for _ in range(50)))
            assert Counter(outcome.status for outcome in outcomes) == {DEADLINE_EXCEEDED: 50}
