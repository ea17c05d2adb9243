"""Outages, as a client of AWS sees them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from local_aws.process.aws_front import AwsFront, Mode
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture
async def front() -> AsyncIterator[tuple[AwsFront, tuple[str, int]]]:
    """A front before a server that sends everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        front = AwsFront(server.sockets[0].getsockname())
        listening = socket.create_server(("127.0.0.1", 0))
        address = listening.getsockname()
        await front.start(listening)
        yield front, address
        await front.stop()


async def ask(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], text: bytes) -> bytes:
    reader, writer = connection
    writer.write(text)
    return await reader.readexactly(len(text))


async def test_everything_passes_and_both_ends_may_close(front: tuple[AwsFront, tuple[str, int]]) -> None:
    reader, writer = connection = await asyncio.open_connection(*front[1])
    assert await ask(connection, b"hello") == b"hello"
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_hang_holds_old_and_new_connections_silently_until_it_is_over(
    front: tuple[AwsFront, tuple[str, int]],
) -> None:
    old = await asyncio.open_connection(*front[1])
    assert await ask(old, b"before") == b"before"
    # WHEN everything hangs
    await front[0].set_mode(Mode.HANG)
    new = await asyncio.open_connection(*front[1])
    for connection in (old, new):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(connection, b"during"), 0.3)
        assert not connection[0].at_eof()
    # THEN what was sent comes through afterwards
    await front[0].set_mode(Mode.NONE)
    for reader, writer in (old, new):
        assert await asyncio.wait_for(reader.readexactly(6), PATIENCE_SECONDS) == b"during"
        writer.close()


async def test_refuse_cuts_old_connections_and_takes_no_new_one_until_it_is_over(
    front: tuple[AwsFront, tuple[str, int]],
) -> None:
    old = await asyncio.open_connection(*front[1])
    assert await ask(old, b"before") == b"before"
    await front[0].set_mode(Mode.REFUSE)
    with pytest.raises(ConnectionResetError):
        assert await asyncio.wait_for(old[0].read(), PATIENCE_SECONDS) == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*front[1])
    await front[0].set_mode(Mode.NONE)
    new = await asyncio.open_connection(*front[1])
    assert await ask(new, b"after") == b"after"
    for _, writer in (old, new):
        writer.close()


async def test_a_hang_may_turn_into_a_refusal(front: tuple[AwsFront, tuple[str, int]]) -> None:
    await front[0].set_mode(Mode.HANG)
    reader, writer = await asyncio.open_connection(*front[1])
    await asyncio.sleep(0)
    await front[0].set_mode(Mode.REFUSE)
    with pytest.raises(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b""
    writer.close()
