"""An Envoy whose memory is short answers, and cuts no call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from grpc_lb_contract import Document, Route
from proxy_image.envoy import overload
from proxy_image.envoy.overload import REFUSE_CALLS_FROM, max_heap_bytes
from tests.proxy_image.control_plane.calls import reads, start
from tests.proxy_image.control_plane.support import (
    GRPC_SERVICE,
    WHO,
    Envoy,
    backends,
    control_plane,
    eventually,
    rng,
    running_envoy,
    service,
    settings_for,
    target,
    who,
)

UPLOAD = f"/{GRPC_SERVICE}/Upload"
HEAP = 40 * 2**20
# Envoy holds each piece of a message in a slice of up to 16 KiB: 12 KiB that came in pieces were 64 KiB to it, of which
# it keeps account, and it reset them. So little comes in one piece or two.
LITTLE = 2**10
MAX_UPLOADS = 4_000
STUCK = 200
PRESSURE = "overload.envoy.resource_monitors.fixed_heap.pressure"
OVERLOADED = (grpc.StatusCode.UNAVAILABLE, "envoy overloaded")


class SlowServer:
    """It takes uploads, and reads them only when it may."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.port = 0

    async def _upload(self, parts: Any, _context: Any) -> bytes:
        await self.reads.wait()
        return str(sum([len(part) async for part in parts])).encode()

    async def _who(self, _request: bytes, _context: Any) -> bytes:
        return b"slow"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = grpc.aio.server()
        methods: dict[str, Any] = {
            "Upload": grpc.stream_unary_rpc_method_handler(self._upload),
            "Who": grpc.unary_unary_rpc_method_handler(self._who),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(GRPC_SERVICE, methods),))
        self.port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield
        finally:
            await server.stop(None)


async def little() -> AsyncIterator[bytes]:
    yield bytes(LITTLE)


async def mebibyte() -> AsyncIterator[bytes]:
    for _ in range(16):
        yield bytes(2**16)


async def outcome(channel: grpc.aio.Channel) -> tuple[grpc.StatusCode, str]:
    call: Any = start(channel.unary_unary(WHO), timeout=60)
    return await call.code(), await call.details()


async def test_invariant_8_an_envoy_short_of_memory_refuses_new_calls_and_finishes_those_it_has(tmp_path: Path) -> None:
    server, settings = SlowServer(), settings_for(tmp_path)
    assert max_heap_bytes(2 * HEAP) == HEAP
    async with (
        server.running(),
        control_plane(settings) as plane,
        running_envoy(settings, memory=2 * HEAP) as envoy,
        envoy.channel() as channel,
    ):
        await plane.serve(rng(target(server.port)))
        await envoy.ready()
        assert await who(channel, 10) == {"slow": 10}
        # WHEN uploads that nobody reads fill Envoy's heap
        uploads: list[Any] = []
        while await outcome(channel) != OVERLOADED:
            assert len(uploads) < MAX_UPLOADS
            upload: Any = channel.stream_unary(UPLOAD)
            uploads += [upload(little()) for _ in range(100)]
            await asyncio.sleep(0.1)
        # THEN it is ready: were it not, ECS would replace its task, and its calls with it
        assert await envoy.readiness() == 200
        # AND each call that it has taken finishes, none is cut
        server.reads.set()
        taken = [call for call in uploads if (await call.code(), await call.details()) != OVERLOADED]
        assert len(taken) > 10
        assert {bytes(await call) for call in taken} == {str(LITTLE).encode()}
        # AND it takes calls again once it has memory
        await eventually(lambda: reads(outcome(channel), (grpc.StatusCode.OK, "")), "calls again")


async def test_invariant_14_uploads_that_nobody_reads_end_before_calls_of_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overload, "LOOK_EVERY", "0.02s")
    server, settings = SlowServer(), settings_for(tmp_path)
    async with (
        server.running(),
        backends("other") as (other,),
        control_plane(settings) as plane,
        running_envoy(settings, memory=2 * HEAP) as envoy,
        envoy.channel(**{"grpc.default_authority": "slow.test"}) as channel,
        envoy.channel() as honest,
    ):
        slow = service("slow", target(server.port), routes=(Route(host="slow.test"),))
        await plane.serve(Document((service("rng", other.target), slow)))
        await envoy.ready()
        await envoy.has(other.port)
        upload: Any = channel.stream_unary(UPLOAD)
        small = upload(little())
        # WHEN one service's uploads would take twice Envoy's heap
        uploads: list[Any] = []
        while len(uploads) < STUCK:
            uploads += [upload(mebibyte()) for _ in range(2)]
            await settled(envoy)
            # THEN each call of another service goes well
            assert await who(honest, 2) == {"other": 2}
        # AND those that hold most have ended, and no other
        assert await envoy.stat("envoy.overload_actions.reset_high_memory_stream.count") > 0
        ended = {await call.code() for call in uploads if call.done()}
        assert ended == {grpc.StatusCode.INTERNAL}
        server.reads.set()
        assert bytes(await small) == str(LITTLE).encode()
        # AND once the server reads, those that are left, none perhaps, are answered, and another one is
        codes = [await call.code() for call in uploads]
        assert set(codes) <= {grpc.StatusCode.INTERNAL, grpc.StatusCode.OK}
        left = [call for call, code in zip(uploads, codes, strict=True) if code == grpc.StatusCode.OK]
        assert {bytes(await call) for call in [*left, upload(mebibyte())]} == {str(2**20).encode()}


async def settled(envoy: Envoy) -> None:
    """Returns once Envoy, with time for a look after all that came, has said twice that it has room.

    Its main thread looks, and answers this: it may have been late, and so may its workers be to know of it.
    """
    for _ in range(2):
        await asyncio.sleep(0.05)
        await eventually(lambda: has_room(envoy), "memory that Envoy has taken back")


async def has_room(envoy: Envoy) -> bool:
    return await envoy.stat(PRESSURE) < 100 * REFUSE_CALLS_FROM - 5
