"""Clients of the web page that are many, or are no clients of it: health is answered, and Envoy has its changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy_image.control_plane.limits.descriptors import MAX_WEB
from tests.hostile.stage import Stage
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 2 * MAX_WEB + 100
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connections(stage: Stage, count: int) -> AsyncIterator[list[Connection]]:
    opened: list[Connection] = []
    try:
        while len(opened) < count:
            opened += [await asyncio.open_connection(*stage.address("web"))]
        yield opened
    finally:
        for _, writing in opened:
            writing.transport.abort()


async def answer(stage: Stage, request: bytes = GET) -> tuple[int, bytes]:
    """Status and body; 0 where there is none."""
    async with connections(stage, 1) as ((reading, writing),):
        writing.write(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                head, _, body = (await reading.read()).partition(b"\r\n\r\n")
        except ConnectionError:
            return 0, b""
        return int(head.split()[1]) if head else 0, body


async def test_health_is_answered_whoever_holds_connections(on_stage: Stage) -> None:
    async with connections(on_stage, MANY):
        for _ in range(5):
            status, body = await answer(on_stage)
            assert (status, json.loads(body)["envoy_connected"]) == (200, True)
        await on_stage.change()
    assert (await on_stage.honest_calls(10)).failures == ()


async def test_a_head_that_is_too_large_is_refused(on_stage: Stage) -> None:
    status, _ = await answer(on_stage, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n")
    assert status in (0, 400, 431)
    assert (await answer(on_stage))[0] == 200


async def test_what_is_not_http_costs_few_log_lines(on_stage: Stage) -> None:
    before = on_stage.log_bytes
    for _ in range(20):
        await asyncio.gather(*(answer(on_stage, b"\0\xff nonsense\r\n\r\n") for _ in range(50)))
    assert on_stage.log_bytes - before < 20_000
    assert (await answer(on_stage))[0] == 200


@pytest.mark.parametrize("path", ["/", "/api/report", "/healthz", "/metrics", "/live"])
async def test_the_name_of_another_page_is_refused(on_stage: Stage, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: attacker.example.com:8080\r\n\r\n".encode()
    status, body = await answer(on_stage, request)
    assert status == 421
    assert b"got 'attacker.example.com:8080': add it to GRPC_LB_WEB_HOSTS" in body


async def test_envoy_has_its_changes_while_all_ask_for_the_whole_report(on_stage: Stage) -> None:
    usual = max([await on_stage.change() for _ in range(3)])
    request = b"GET /api/report HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def ask() -> None:
        while True:
            await answer(on_stage, request)

    asking = [asyncio.ensure_future(ask()) for _ in range(20)]
    during = [await on_stage.change() for _ in range(5)]
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert max(during) < 20 * max(usual, 0.5), (usual, during)
