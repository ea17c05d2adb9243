"""Servers, routes and the access log learn who calls from the load balancer, never from what a caller writes."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from grpc_lb_contract import Condition, Document, Match, Route
from proxy_image.control_plane.xds.envoy.client_address import ADDRESS_HEADERS
from tests.proxy_image.control_plane.calls import start
from tests.proxy_image.control_plane.support import WHO, Envoy, backends, balancer, eventually, rng, service

# "for" of RFC 7239, and a plain address for the others.
FORGED = tuple((name, "for=10.9.9.9" if name == "forwarded" else "10.9.9.9") for name in ADDRESS_HEADERS)
CALLER = "10.1.2.3"

# https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2: the binary header, as AWS sends it.
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
TCP4, TCP6 = 0x11, 0x21
# PP2_TYPE_AWS with PP2_SUBTYPE_AWS_VPCE_ID, as a Network Load Balancer adds for callers of an endpoint:
# https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html#proxy-protocol
ENDPOINT = b"\xea\x00\x10\x01vpce-1234abcd56"


def header(caller: str, *, command: int = PROXY, extra: bytes = ENDPOINT) -> bytes:
    """Version 2, which a Network Load Balancer speaks."""
    source = ipaddress.ip_address(caller)
    destination = ipaddress.ip_address("127.0.0.1" if source.version == 4 else "::1")
    ports = (40_000).to_bytes(2, "big") + (50_051).to_bytes(2, "big")
    content = source.packed + destination.packed + ports + extra
    family = TCP4 if source.version == 4 else TCP6
    return SIGNATURE + bytes([command, family]) + len(content).to_bytes(2, "big") + content


@asynccontextmanager
async def load_balancer(port: int, begins_with: bytes) -> AsyncIterator[str]:
    """One that tells who calls, at the beginning of each connection, as a Network Load Balancer does on request."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", port)
        upstream.write(begins_with)
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


async def clients_logged(envoy: Envoy, calls: int) -> list[str]:
    def lines() -> list[str]:
        whole = envoy.log.read_text().rpartition("\n")[0].splitlines()
        told = [json.loads(line) for line in whole if line.startswith("{")]
        return [str(line["client"]) for line in told if line["event"] == "call"]

    await eventually(lambda: len(lines()) >= calls, f"{calls} lines of calls")
    return lines()


async def test_a_forged_address_reaches_no_server(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_, envoy), envoy.channel() as channel:
        await start(channel.unary_unary(WHO), metadata=(*FORGED, ("asked", "yes")))
        (seen,) = a.metadata
        assert seen["asked"] == "yes"
        assert not {*ADDRESS_HEADERS} & set(seen)


@pytest.mark.parametrize(
    ("begins_with", "told"),
    [
        (header(CALLER), CALLER),
        (header("2001:db8::7"), "2001:db8::7"),
        (f"PROXY TCP4 {CALLER} 127.0.0.1 40000 50051\r\n".encode(), CALLER),
    ],
    ids=["version 2", "version 2 with IPv6", "version 1"],
)
async def test_the_address_that_the_load_balancer_tells_reaches_servers_routes_and_the_log(
    tmp_path: Path, begins_with: bytes, told: str
) -> None:
    """GIVEN connections that begin with the PROXY protocol, and callers who write addresses of their own, THEN servers
    get the caller's address and no forged one, a condition on it chooses the service, and the access log has it.
    """
    special = Route(metadata=(Condition("x-forwarded-for", Match.EXACT, told),))
    forged = Route(metadata=(Condition("x-forwarded-for", Match.EXACT, "10.9.9.9"),))
    async with backends("all", "special", "forged") as (everyone, special_one, forged_one):
        document = Document(
            (
                service("all", everyone.target),
                service("forged", forged_one.target, routes=(forged,)),
                service("special", special_one.target, routes=(special,)),
            )
        )
        async with (
            balancer(tmp_path, document, GRPC_LB_PROXY_PROTOCOL="true", GRPC_LB_ACCESS_LOG="all") as (_, envoy),
            load_balancer(envoy.settings.port, begins_with) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):
            call = start(channel.unary_unary(WHO), metadata=FORGED)
            assert await call == b"special"
            (seen,) = special_one.metadata
            assert seen["x-forwarded-for"] == told
            assert {seen[name] for name in {*ADDRESS_HEADERS} & set(seen)} == {told}
            assert everyone.metadata == forged_one.metadata == []
            (client,) = await clients_logged(envoy, 1)
            assert client.rpartition(":")[0].strip("[]") == told
            assert await envoy.readiness() == 200


async def test_a_condition_on_a_forged_address_is_met_by_nobody(tmp_path: Path) -> None:
    """GIVEN no PROXY protocol and a route by address, THEN a caller cannot choose it, nor is it logged as another."""
    forged = Route(metadata=(Condition("x-forwarded-for", Match.EXACT, "10.9.9.9"),))
    async with backends("all", "forged") as (everyone, forged_one):
        document = Document((service("all", everyone.target), service("forged", forged_one.target, routes=(forged,))))
        async with (
            balancer(tmp_path, document, GRPC_LB_ACCESS_LOG="all") as (_, envoy),
            envoy.channel() as channel,
        ):
            assert await start(channel.unary_unary(WHO), metadata=FORGED) == b"all"
            (client,) = await clients_logged(envoy, 1)
            assert client.startswith("127.0.0.1:")


async def test_the_load_balancers_own_health_checks_are_answered(tmp_path: Path) -> None:
    """GIVEN checks that begin with a header for nobody (LOCAL), for a caller, or with none, THEN each is answered."""
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target), GRPC_LB_PROXY_PROTOCOL="true") as (_, envoy):
        local = SIGNATURE + bytes([LOCAL, 0, 0, 0])

        async def answer(begins_with: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", envoy.settings.ready_port)
            writer.write(begins_with + b"GET /ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            answered = await reader.read()
            writer.close()
            return answered

        # Side by side: Envoy closes each a second after its answer.
        for answered in await asyncio.gather(*map(answer, (local, header(CALLER), b""))):
            assert answered.startswith(b"HTTP/1.1 200")


async def test_calls_that_do_not_begin_with_the_protocol_are_refused(tmp_path: Path) -> None:
    """GIVEN the PROXY protocol, THEN nobody calls past the load balancer under an address of nobody."""
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(a.target), GRPC_LB_PROXY_PROTOCOL="true") as (_, envoy),
        envoy.channel() as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await start(channel.unary_unary(WHO))
        assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
        assert a.metadata == []
