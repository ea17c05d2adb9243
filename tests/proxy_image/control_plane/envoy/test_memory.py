"""An Envoy whose memory is short answers, and cuts no call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from proxy_image.envoy.bootstrap import max_heap_bytes
from tests.proxy_image.control_plane.calls import reads, start
from tests.proxy_image.control_plane.support import (
    GRPC_SERVICE,
    WHO,
    control_plane,
    eventually,
    rng,
    running_envoy,
    settings_for,
    target,
    who,
)

UPLOAD = f"/{GRPC_SERVICE}/Upload"
HEAP = 40 * 2**20
MAX_UPLOADS = 400
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
            uploads += [upload(mebibyte()) for _ in range(5)]
            await asyncio.sleep(0.1)
        # THEN it is ready: were it not, ECS would replace its task, and its calls with it
        assert await envoy.readiness() == 200
        # AND each call that it has taken finishes, none is cut
        server.reads.set()
        taken = [call for call in uploads if (await call.code(), await call.details()) != OVERLOADED]
        assert len(taken) > 10
        assert {bytes(await call) for call in taken} == {str(2**20).encode()}
        # AND it takes calls again once it has memory
        await eventually(lambda: reads(outcome(channel), (grpc.StatusCode.OK, "")), "calls again")
