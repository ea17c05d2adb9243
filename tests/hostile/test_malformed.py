"""What breaks the rules of HTTP gets no further than Envoy, and touches nobody else."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.hostile import http2
from tests.hostile.malformed import HTTP1, HTTP2, WELL_FORMED
from tests.hostile.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

# It is refused at once, or waits for more: then the test closes.
ANSWER_SECONDS = 0.3
SERVED = b"honest"


async def said_to(stage: Stage, says: bytes) -> bytes:
    """What a caller that says this is answered before it is closed, or leaves."""
    reading, writing = await asyncio.open_connection(*stage.address())
    answered = b""
    try:
        with contextlib.suppress(ConnectionError, TimeoutError):
            writing.write(says)
            async with asyncio.timeout(ANSWER_SECONDS):
                while more := await reading.read(2**16):
                    answered += more
    finally:
        writing.transport.abort()
    return answered


@pytest.mark.parametrize("what", HTTP2)
async def test_malformed_http2_reaches_no_server(on_stage: Stage, what: str) -> None:
    await _assert_is_refused(on_stage, HTTP2[what])


@pytest.mark.parametrize("what", HTTP1)
async def test_malformed_http1_reaches_no_server(on_stage: Stage, what: str) -> None:
    await _assert_is_refused(on_stage, HTTP1[what])


async def _assert_is_refused(stage: Stage, says: bytes) -> None:
    pid, served = stage.envoy_pid, stage.backend.seen["who"]
    assert SERVED not in await said_to(stage, says)
    assert stage.backend.seen["who"] == served
    assert (await stage.honest_calls(3)).failures == ()
    assert len(stage.balancer.events("envoy exited")) == 0, pid


async def test_the_same_without_a_mistake_is_served(on_stage: Stage) -> None:
    """So that the others are refused for their mistake, and not for what all have in common."""
    assert SERVED in await said_to(on_stage, http2.start() + http2.call(1) + http2.message(1))
    assert SERVED in await said_to(on_stage, WELL_FORMED)
