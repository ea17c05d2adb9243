"""Control planes that are killed, replaced or away: clients go on calling the tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from grpc_lb_contract.proxyless import bootstrap
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from tests.ports import free_ports
from tests.proxy_image.control_plane.support import backends, control_plane, rng, settings_for
from tests.proxy_image.control_plane.xds.proxyless.harness import LANGUAGES, SharedClients, client_process, parsed


class Front:
    """Connections go to one of the ports in turn, as by an NLB; without ports they are closed."""

    def __init__(self) -> None:
        self.port = 0
        self.ports: list[int] = []
        self._open: dict[asyncio.StreamWriter, int] = {}
        self._turn = 0

    def cut(self, *ports: int) -> None:
        """What was there is gone without a word: its connections are reset."""
        self.ports = [port for port in self.ports if port not in ports]
        for writer, port in self._open.items():
            if port in ports:
                writer.transport.abort()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.ports:
            writer.close()
            return
        self._turn += 1
        port = self.ports[self._turn % len(self.ports)]
        there, back = await asyncio.open_connection("127.0.0.1", port)
        self._open |= {writer: port, back: port}
        try:
            await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))
        finally:
            self._open = {each: to for each, to in self._open.items() if each not in (writer, back)}

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(2**16):
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def front() -> AsyncIterator[Front]:
    made = Front()
    server = await asyncio.start_server(made.take, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


languages = pytest.mark.parametrize("language", LANGUAGES)


@languages
async def test_no_call_fails_while_the_control_plane_is_away_and_when_another_takes_its_place(
    language: str, tmp_path: Path, shared_clients: SharedClients
) -> None:
    (port,) = free_ports(1)
    config = parsed(bootstrap([f"127.0.0.1:{port}"], "test"))
    async with (
        backends("a", "b", "c") as (a, b, c),
        control_plane(settings_for(tmp_path)) as plane,
        shared_clients.client(language, "rng", config) as client,
    ):
        await plane.serve(rng(a.target, b.target))
        service, address = AdsService(plane.cache, plane.state, plane.state.clients), f"127.0.0.1:{port}"
        async with AsyncExitStack() as stack:
            async with AdsServer(service, address):
                await client.sees(20, {"a": 10, "b": 10})
                codes = await stack.enter_async_context(client.calling())
            # Away: the client goes on with what it had, and a change does not reach it.
            await plane.serve(rng(b.target, c.target))
            assert set(await client.who(100, apart=0.005)) == {"a", "b"}
            await stack.enter_async_context(AdsServer(service, address))
            await client.sees(20, {"b": 10, "c": 10})
        assert set(codes) == {"OK"}


async def test_no_call_fails_while_several_control_planes_are_killed_at_once_and_replaced_one_by_one(
    tmp_path: Path, shared_clients: SharedClients
) -> None:
    """GIVEN clients of two languages that call, and control planes behind one address, as behind a load balancer."""
    async with (
        backends("a", "b", "c") as (a, b, c),
        control_plane(settings_for(tmp_path)) as plane,
        front() as address,
        AsyncExitStack() as stack,
    ):

        async def another() -> AdsServer:
            service = AdsService(plane.cache, plane.state, plane.state.clients)
            server = await stack.enter_async_context(AdsServer(service, "127.0.0.1:0"))
            address.ports.append(server.port)
            return server

        await plane.serve(rng(a.target, b.target))
        servers = [await another() for _ in range(3)]
        config = parsed(bootstrap([f"127.0.0.1:{address.port}"], "test"))
        clients = [
            await stack.enter_async_context(shared_clients.client(language, "rng", config))
            for language in ("Python", "Node")
        ]
        for client in clients:
            await client.sees(20, {"a": 10, "b": 10})
        async with clients[0].calling() as by_python, clients[1].calling() as by_node:
            # WHEN all are killed at once, and three others are there a moment later
            address.cut(*(server.port for server in servers))
            servers = [await another() for _ in range(3)]
            await plane.serve(rng(b.target, c.target))
            # AND those are replaced, each once another one is there
            for server in servers:
                await another()
                address.ports.remove(server.port)
                await server.stop()
        # THEN no call fails, and the clients follow those that are there now
        assert set(by_python) == set(by_node) == {"OK"}
        for client in clients:
            await client.sees(20, {"b": 10, "c": 10})


async def test_a_new_client_uses_the_fallback_while_the_first_control_plane_is_away(tmp_path: Path) -> None:
    """gRFC A71, which Python knows since 1.67 and Node does not."""
    (nowhere,) = free_ports(1)
    async with (
        backends("a") as (a,),
        control_plane(settings_for(tmp_path)) as plane,
        AdsServer(AdsService(plane.cache, plane.state, plane.state.clients), "127.0.0.1:0") as server,
    ):
        await plane.serve(rng(a.target))
        config = parsed(bootstrap([f"127.0.0.1:{nowhere}", f"127.0.0.1:{server.port}"], "test"))
        async with client_process("Python", "rng", config) as client:
            assert await client.who(10) == {"a": 10}
