"""What breaks the rules of HTTP gets no further than Envoy, and touches nobody else."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

import grpc
import pytest
import pytest_asyncio

from grpc_lb_contract import Document, TrafficPolicy, Web
from tests.hostile import http2
from tests.hostile.malformed import HTTP1, HTTP2, MENDED, WELL_FORMED
from tests.proxy_image.control_plane.support import Backend, Envoy, backends, balancer, service, who

pytestmark = pytest.mark.asyncio(loop_scope="module")

# It is refused at once, or waits for more: then the test closes.
ANSWER_SECONDS = 1.0
SERVED_SECONDS = 60
SERVED = b"honest"


@dataclass(frozen=True, slots=True)
class Served:
    envoy: Envoy
    backend: Backend
    on: grpc.aio.Channel


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A service that takes gRPC, and gRPC-Web over HTTP/1.1 too."""
    async with backends("honest") as (backend,):
        both = replace(service("honest", backend.target), policy=TrafficPolicy(web=Web(enabled=True)))
        async with (
            balancer(tmp_path_factory.mktemp("malformed"), Document((both,))) as (_, envoy),
            envoy.channel() as on,
        ):
            yield Served(envoy, backend, on)


@dataclass(frozen=True, slots=True)
class Refused:
    """What callers with a mistake were answered, each at the same time as all others of their kind."""

    answered: dict[str, bytes]
    calls_seen: int
    """How many of them a server saw."""
    honest: dict[str, Counter[str]]
    """What an honest caller was answered beside each, on a connection that was there before."""


async def refused(served: Served, mistakes: Mapping[str, bytes]) -> Refused:
    answered: dict[str, bytes] = {}
    honest: dict[str, Counter[str]] = {}

    async def say(what: str) -> None:
        answered[what] = await said_to(served, mistakes[what])
        honest[what] = await who(served.on, 3)

    before = served.backend.seen["who"]
    await asyncio.gather(*map(say, mistakes))
    calls_seen = served.backend.seen["who"] - before - sum(map(Counter.total, honest.values()))
    return Refused(answered, calls_seen, honest)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http2_refused(served: Served) -> Refused:
    return await refused(served, HTTP2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http1_refused(served: Served) -> Refused:
    return await refused(served, HTTP1)


async def said_to(served: Served, says: bytes, seconds: float = ANSWER_SECONDS) -> bytes:
    """What a caller that says this is answered before it is closed, is served, or leaves."""
    reading, writing = await asyncio.open_connection("127.0.0.1", served.envoy.settings.port)
    answered = b""
    try:
        with contextlib.suppress(ConnectionError, TimeoutError):
            writing.write(says)
            async with asyncio.timeout(seconds):
                while SERVED not in answered and (more := await reading.read(2**16)):
                    answered += more
    finally:
        writing.transport.abort()
    return answered


@pytest.mark.parametrize("what", HTTP2)
async def test_malformed_http2_reaches_no_server(served: Served, http2_refused: Refused, what: str) -> None:
    _assert_is_refused(served, http2_refused, what)


@pytest.mark.parametrize("what", HTTP1)
async def test_malformed_http1_reaches_no_server(served: Served, http1_refused: Refused, what: str) -> None:
    _assert_is_refused(served, http1_refused, what)


def _assert_is_refused(served: Served, refused: Refused, what: str) -> None:
    assert SERVED not in refused.answered[what]
    assert refused.calls_seen == 0
    # AND an honest caller, whose connection was there before, notices nothing
    assert refused.honest[what] == {"honest": 3}
    assert served.envoy.process.returncode is None


@pytest.mark.parametrize("says", [http2.start() + http2.call(1) + http2.message(1), WELL_FORMED], ids=["2", "1.1"])
async def test_the_same_without_a_mistake_is_served(served: Served, says: bytes) -> None:
    """So that the others are refused for their mistake, and not for what all have in common."""
    assert SERVED in await said_to(served, says, SERVED_SECONDS)


@pytest.mark.parametrize("what", MENDED)
async def test_what_envoy_mends_is_well_formed_when_a_server_sees_it(served: Served, what: str) -> None:
    assert SERVED in await said_to(served, MENDED[what], SERVED_SECONDS)
    seen = served.backend.metadata[-1]
    assert "x-other" not in seen
    assert not any(mark in value for value in seen.values() for mark in "\r\n\0")
    assert seen.get("x-name", "") in ("", "a b", "a X-Other: b", "aX-Other: b")
