"""Servers learn who calls from the load balancer, never from what a caller writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from tests.proxy_image.control_plane.calls import start
from tests.proxy_image.control_plane.support import WHO, backends, balancer, rng

FORGED = (("x-forwarded-for", "10.9.9.9"), ("x-real-ip", "10.9.9.9"), ("forwarded", "for=10.9.9.9"))
CALLER = "10.1.2.3"


async def test_a_forged_address_reaches_no_server(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_, envoy), envoy.channel() as channel:
        await start(channel.unary_unary(WHO), metadata=(*FORGED, ("asked", "yes")))
        (seen,) = a.metadata
        assert seen["asked"] == "yes"
        assert not {"x-forwarded-for", "x-real-ip", "forwarded"} & set(seen)


@asynccontextmanager
async def load_balancer(port: int) -> AsyncIterator[str]:
    """One that tells who calls, at the beginning of each connection, as a Network Load Balancer does on request."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", port)
        # Version 1 is the same in plain text: https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt
        upstream.write(f"PROXY TCP4 {CALLER} 127.0.0.1 40000 {port}\r\n".encode())
        await asyncio.gather(pipe(reader, upstream), pipe(upstream_reader, writer), return_exceptions=True)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_the_address_that_the_load_balancer_tells_reaches_the_server(tmp_path: Path) -> None:
    """GIVEN connections that begin with the PROXY protocol, THEN servers get the caller's address, no forged one,
    and readiness is answered to those that do not begin with it.
    """
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(a.target), GRPC_LB_PROXY_PROTOCOL="true") as (_, envoy),
        load_balancer(envoy.settings.port) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        await start(channel.unary_unary(WHO), metadata=FORGED)
        (seen,) = a.metadata
        assert seen["x-forwarded-for"] == CALLER
        assert not {"x-real-ip", "forwarded"} & set(seen)
        assert await envoy.readiness() == 200
