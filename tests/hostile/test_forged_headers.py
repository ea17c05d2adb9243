"""Headers that mean something to Envoy mean nothing when a caller sends them."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from tests.hostile.stage import Stage
from tests.proxy_image.balancer import channel
from tests.proxy_image.control_plane.support import WHO
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORGED = (
    ("x-envoy-upstream-rq-timeout-ms", "1"),
    ("x-envoy-upstream-rq-per-try-timeout-ms", "1"),
    ("x-envoy-expected-rq-timeout-ms", "1"),
    ("x-envoy-max-retries", "9"),
    ("x-envoy-retry-on", "5xx,retriable-status-codes"),
    ("x-envoy-retry-grpc-on", "unavailable,cancelled,internal,resource-exhausted"),
    ("x-envoy-retriable-status-codes", "200,503"),
    ("x-envoy-hedge-on-per-try-timeout", "true"),
    ("x-envoy-upstream-rq-timeout-alt-response", "1"),
    ("x-envoy-upstream-alt-stat-name", "forged"),
    ("x-envoy-force-trace", "1"),
    ("x-envoy-decorator-operation", "forged"),
    ("x-envoy-original-path", "/forged"),
    ("x-envoy-original-dst-host", "127.0.0.1:1"),
    ("x-envoy-ip-tags", "forged"),
    ("x-envoy-internal", "true"),
    ("x-envoy-external-address", "192.0.2.1"),
    ("x-envoy-downstream-service-cluster", "forged"),
    ("x-forwarded-for", "192.0.2.1"),
    ("x-forwarded-proto", "https"),
)


async def outcome(stage: Stage, metadata: tuple[tuple[str, str], ...]) -> tuple[grpc.StatusCode, int]:
    """The status, and how often the server saw the call."""
    before = stage.backend.seen["who"]
    async with channel(stage.balancer.address) as on:
        method: Any = on.unary_unary(WHO)
        call = method(b"", metadata=metadata, timeout=PATIENCE_SECONDS)
        code = await call.code()
    return code, stage.backend.seen["who"] - before


async def test_a_call_with_all_of_them_succeeds_as_without(on_stage: Stage) -> None:
    assert await outcome(on_stage, FORGED) == (grpc.StatusCode.OK, 1)


@pytest.mark.parametrize("header", FORGED, ids=[name for name, _ in FORGED])
async def test_a_call_that_fails_is_seen_once(on_stage: Stage, header: tuple[str, str]) -> None:
    """Invariant 9: no caller makes Envoy send a call twice that its service does not retry."""
    on_stage.backend.abort = grpc.StatusCode.UNAVAILABLE
    try:
        retries = (("x-envoy-max-retries", "9"), header)
        assert await outcome(on_stage, retries) == (grpc.StatusCode.UNAVAILABLE, 1)
    finally:
        on_stage.backend.abort = None


async def test_none_makes_a_statistic_of_its_own(on_stage: Stage) -> None:
    await outcome(on_stage, FORGED)
    assert "forged" not in await on_stage.envoy_says("/stats")
