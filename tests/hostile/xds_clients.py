"""xDS clients that no library is: what one may try against the ADS port, each until it is told to end."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.rpc import status_pb2  # type: ignore[import-untyped]  # no stubs for this one

from proxy_image.control_plane.xds.resource_types import ResourceType

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
CDS, EDS, LDS, RDS = (each.url for each in ResourceType)

# How grpcio says in a write or read that a stream is over, or stays silent.
ENDED = (TimeoutError, asyncio.InvalidStateError, grpc.aio.AioRpcError)

Address = tuple[str, int]
IsOver = Callable[[], bool]
Did = dict[str, Any]


def request(type_url: str = EDS, names: Iterable[str] = (), node: str = "hostile", **more: Any) -> bytes:
    message = discovery_pb2.DiscoveryRequest(
        node=base_pb2.Node(id=node), type_url=type_url, resource_names=names, **more
    )
    return bytes(message.SerializeToString())


def rejection(response: Any, error: str) -> bytes:
    return request(
        response.type_url,
        response_nonce=response.nonce,
        error_detail=status_pb2.Status(code=3, message=error),
    )


@asynccontextmanager
async def ads_channel(address: Address) -> AsyncIterator[grpc.aio.Channel]:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel("{}:{}".format(*address), options=options) as on:
        yield on


def open_stream(on: grpc.aio.Channel, **options: Any) -> Any:
    return on.stream_stream(ADS, response_deserializer=discovery_pb2.DiscoveryResponse.FromString)(**options)


async def outcome(address: Address, *messages: bytes, seconds: float = 20, **options: Any) -> tuple[str, str]:
    """How a stream ends that sends these messages: status and message."""
    async with ads_channel(address) as on:
        stream = open_stream(on, **options)

        async def send() -> None:
            for message in messages:
                await stream.write(message)

        sending = asyncio.ensure_future(send())
        try:
            async with asyncio.timeout(seconds):
                return (await stream.code()).name, await stream.details()
        finally:
            stream.cancel()
            await asyncio.gather(sending, return_exceptions=True)


def _streams(
    messages: Callable[[], Iterator[bytes]], at_once: int
) -> Callable[[Address, IsOver], Coroutine[Any, Any, Did]]:
    """So many streams on a connection each, over and over, which send these messages and read what comes."""

    async def attack(address: Address, is_over: IsOver) -> Did:
        ends: Counter[str] = Counter()

        async def one() -> None:
            async with ads_channel(address) as on:
                while not is_over():
                    stream = open_stream(on)
                    try:
                        for message in messages():
                            await stream.write(message)
                            if is_over():
                                break
                        async with asyncio.timeout(1):
                            ends[(await stream.code()).name] += 1
                    except TimeoutError:
                        ends["open"] += 1
                    except ENDED:
                        ends[(await stream.code()).name] += 1
                    finally:
                        stream.cancel()

        await asyncio.gather(*(one() for _ in range(at_once)))
        return {"ends": ends}

    return attack


def _many_names() -> Iterator[bytes]:
    """350,000 names on four streams."""
    for start in range(0, 87_500, 900):
        for type_url in (EDS, RDS, CDS, LDS):
            yield request(type_url, [f"a-service-with-a-long-name-{start + number}" for number in range(900)])


def _large_names() -> Iterator[bytes]:
    yield request(EDS, [f"name-{number:06}" for number in range(87_500)])


def _unknown_types() -> Iterator[bytes]:
    for number in range(100):
        yield request(f"type.googleapis.com/{number}/{'x' * 100_000}")


def _large_node() -> Iterator[bytes]:
    yield request(node="x" * 3_900_000)


async def _rejects_in_a_loop(address: Address, is_over: IsOver) -> Did:
    """Asks for everything, rejects it, leaves it, asks again."""
    rejected = 0

    async def one(on: grpc.aio.Channel) -> None:
        nonlocal rejected
        while not is_over():
            stream = open_stream(on)
            try:
                await stream.write(request(CDS))
                for _ in range(1000):
                    async with asyncio.timeout(2):
                        response = await stream.read()
                    if response is grpc.aio.EOF:
                        break
                    rejected += 1
                    await stream.write(rejection(response, f"{rejected} is no number that I like {'!' * 50_000}"))
                    await stream.write(request(CDS, ["changing"], response_nonce=response.nonce))
                    await stream.write(request(CDS, ["*"], response_nonce=response.nonce))
                    if is_over():
                        break
            except ENDED:
                continue
            finally:
                stream.cancel()

    async with ads_channel(address) as on:
        await asyncio.gather(*(one(on) for _ in range(4)))
    return {"rejected": rejected}


async def _many_streams(address: Address, is_over: IsOver) -> Did:
    """3,000 streams that stay, on 60 connections."""
    opened: list[Any] = []
    channels = [
        grpc.aio.insecure_channel("{}:{}".format(*address), options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(60)
    ]

    async def one(on: grpc.aio.Channel) -> None:
        for _ in range(50):
            stream = open_stream(on)
            opened.append(stream)
            try:
                async with asyncio.timeout(5):
                    await stream.write(request(CDS))
            except ENDED:
                continue

    await asyncio.gather(*map(one, channels))
    while not is_over():  # noqa: ASYNC110 - standard input has no event
        await asyncio.sleep(0.05)
    for stream in opened:
        stream.cancel()
    for on in channels:
        await on.close()
    return {"streams": len(opened)}


async def _silent_connections(address: Address, is_over: IsOver) -> Did:
    """As many connections as this process may have, up to 3,000, which say nothing and come again when closed."""
    sockets: dict[int, socket.socket] = {}
    opened = 0
    while not is_over():
        for number in range(3_000):
            if number in sockets:
                continue
            try:
                one = socket.create_connection(address, timeout=2)
            except OSError:
                break
            one.setblocking(False)
            sockets[number] = one
            opened += 1
            if opened % 100 == 0:
                await asyncio.sleep(0)
        for number, one in list(sockets.items()):
            try:
                if one.recv(65_536) == b"":
                    sockets.pop(number).close()
            except BlockingIOError:
                continue
            except OSError:
                sockets.pop(number).close()
        await asyncio.sleep(0.05)
    for one in sockets.values():
        one.close()
    return {"opened": opened}


XDS_ATTACKS: dict[str, Callable[[Address, IsOver], Coroutine[Any, Any, Did]]] = {
    "xds names": _streams(_many_names, 4),
    "xds names in one message": _streams(_large_names, 4),
    "xds unknown types": _streams(_unknown_types, 4),
    "xds node": _streams(_large_node, 4),
    "xds rejections": _rejects_in_a_loop,
    "xds streams": _many_streams,
    "xds silent connections": _silent_connections,
}
