"""Deadlines that a service sets: how callers see them end, and which of Envoy's routes takes which call."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import Deadline, Document, Route, TrafficPolicy
from proxy_image.control_plane.xds.envoy.deadlines import at_most
from tests.proxy_image.control_plane.support import Envoy, balancer, service, target
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


# Longer than a test may take: a call that the caller's own deadline ends does not pass for one that the ceiling ends.
HOUR = 3600.0
# The service's deadlines, the caller's own in seconds, and when the call ends.
CASES = {
    "max": (Deadline(max=timedelta(milliseconds=300)), HOUR, 0.3),
    "max-without-one": (Deadline(max=timedelta(milliseconds=300)), None, 0.3),
    "max-own-shorter": (Deadline(max=timedelta(hours=1)), 0.3, 0.3),
    "default": (Deadline(default=timedelta(milliseconds=300)), None, 0.3),
    "default-own-longer": (Deadline(default=timedelta(milliseconds=300)), 0.6, 0.6),
    "both": (Deadline(default=timedelta(milliseconds=300), max=timedelta(milliseconds=600)), None, 0.3),
    "both-own-longer": (Deadline(default=timedelta(milliseconds=300), max=timedelta(milliseconds=600)), HOUR, 0.6),
}
# So long after that, Envoy ends the call if its server has not.
LATER_SECONDS = 1.0
MAX_ROUNDS = 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def envoy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Envoy]:
    """A service for each case, on a host of its name."""
    async with grpc_aio.server() as port:
        services = tuple(
            replace(
                service(case, target(port), routes=[Route(f"{case}.test")]), policy=TrafficPolicy(deadline=deadline)
            )
            for case, (deadline, *_) in CASES.items()
        )
        async with balancer(tmp_path_factory.mktemp("deadlines"), Document(services)) as (_, made):
            yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", CASES)
async def test_a_stream_that_has_begun_meets_a_services_deadline_with_its_status(envoy: Envoy, case: str) -> None:
    _, own, ends = CASES[case]
    late = Call(READ, [["send", 1, 1], ["stay"]], deadline=own)
    async with grpc_aio.channel(envoy.settings.port, **{"grpc.default_authority": f"{case}.test"}) as channel:
        for _ in range(MAX_ROUNDS):
            started = time.monotonic()
            outcomes = await asyncio.gather(*(grpc_aio.outcome(late, channel) for _ in range(50)))
            took = time.monotonic() - started
            statuses = Counter(outcome.status for outcome in outcomes)
            # Where the server, in this process, stood still for so long, that says nothing of it.
            if statuses == {DEADLINE_EXCEEDED: 50} or took < ends + LATER_SECONDS:
                break
        assert statuses == {DEADLINE_EXCEEDED: 50}
        assert took > 0.9 * ends, "a deadline that is not the call's has ended it"
