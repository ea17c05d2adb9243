"""What gRPC's libraries do of themselves - retries, compression, limits of size - goes through the balancer as it does
directly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.transparency.balanced import balanced
from tests.transparency.neighbours import bystander, same
from tests.transparency.peers import frames, grpc_aio
from tests.transparency.peers.frames import Exchange
from tests.transparency.peers.script import METHOD, Call, Outcome

MIB = 2**20
READ: Any = [["half-close"], ["read-all"]]
BACK: Any = [["read-all"], ["send", 10, 1]]
SMALL: Any = {"grpc.max_receive_message_length": 1000}
RETRIED: Any = {
    "grpc.enable_retries": 1,
    "grpc.service_config": json.dumps(
        {
            "methodConfig": [
                {
                    "name": [{}],
                    "retryPolicy": {
                        "maxAttempts": 3,
                        "initialBackoff": "0.01s",
                        "maxBackoff": "0.01s",
                        "backoffMultiplier": 1,
                        "retryableStatusCodes": ["UNAVAILABLE"],
                    },
                }
            ]
        }
    ),
}


@asynccontextmanager
async def both(directory: Path, of_server: Any = None, **of_client: Any) -> AsyncIterator[list[grpc.aio.Channel]]:
    """A channel straight to a server and one through the balancer, on which a bystander notices nothing."""
    async with (
        grpc_aio.server(**(of_server or {})) as port,
        balanced(directory, port) as ways,
        grpc_aio.channel(ways.direct, **of_client) as direct,
        grpc_aio.channel(ways.balanced, **of_client) as through,
        bystander(through),
    ):
        yield [direct, through]


async def outcomes(call: Call, channels: list[grpc.aio.Channel]) -> list[Outcome]:
    return [same(one) for one in await asyncio.gather(*(grpc_aio.outcome(call, on) for on in channels))]


async def test_messages_beyond_what_either_end_takes_have_the_status_that_they_have_directly(tmp_path: Path) -> None:
    too_large = Call([["send", 5_000, 1], *READ], BACK)
    async with both(tmp_path / "server", SMALL) as channels:
        direct, through = await outcomes(too_large, channels)
        assert direct == through
        assert direct.status == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    async with both(tmp_path / "client", **SMALL) as channels:
        direct, through = await outcomes(Call(READ, [["read-all"], ["send", 5_000, 1]]), channels)
        assert direct == through
        assert direct.status == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


async def test_calls_that_end_before_they_begin_end_as_they_do_directly(tmp_path: Path) -> None:
    async with both(tmp_path) as channels:
        for call, status in [
            (Call(READ, [["stay"]], deadline=0.0), grpc.StatusCode.DEADLINE_EXCEEDED),
            (Call([["cancel"]], BACK), grpc.StatusCode.CANCELLED),
        ]:
            assert [one.status for one in await outcomes(call, channels)] == [status.value[0]] * 2


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_calls_and_channels_are_answered_as_directly(
    tmp_path: Path, algorithm: grpc.Compression
) -> None:
    sent = Call([], [["read", 1], ["tell"]]).sent

    async def answer(on: grpc.aio.Channel, **compressed: Any) -> set[str]:
        method: Any = on.stream_stream(METHOD)
        call = method(iter([b"m" * 10_000]), metadata=sent, timeout=60, **compressed)
        told = json.loads(await call.read())
        assert await call.code() == grpc.StatusCode.OK
        return {key for key, _ in told} - {"x-forwarded-proto"}

    async with both(tmp_path) as channels:
        direct, through = [await answer(on, compression=algorithm) for on in channels]
        assert direct == through
    async with both(tmp_path / "channels", **{"grpc.default_compression_algorithm": algorithm.value}) as channels:
        assert await answer(channels[0]) == await answer(channels[1]) == direct


@pytest.mark.parametrize(("pushback", "attempts"), [(None, ["", "1", "2"]), ("20", ["", "1", "2"]), ("-1", [""])])
async def test_a_clients_own_retries_reach_the_server_and_obey_its_pushback(
    tmp_path: Path, pushback: str | None, attempts: list[str]
) -> None:
    told = (("grpc-retry-pushback-ms", pushback),) if pushback is not None else ()
    refused = (*frames.RESPONSE, ("grpc-status", "14"), ("grpc-message", "later"), *told)
    unavailable = Exchange(server=(("half-closed",), ("end", refused)))
    async with frames.server({"refused": unavailable}) as server, balanced(tmp_path, server.port) as ways:
        seen: list[list[str]] = []
        for port in (ways.direct, ways.balanced):
            async with grpc_aio.channel(port, **RETRIED) as channel:
                method: Any = channel.unary_unary(METHOD)
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await method(b"", metadata=[(frames.CASE, "refused")], timeout=60)
                assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
                assert raised.value.details() == "later"
            blocks = [dict(stream.headers[0]) for stream in server.every]
            seen.append([headers.get("grpc-previous-rpc-attempts", "") for headers in blocks])
            server.every.clear()
    assert seen == [attempts, attempts]


@pytest.mark.long
async def test_messages_of_up_to_63_mebibytes_and_a_hundred_thousand_empty_ones_arrive(tmp_path: Path) -> None:
    async with both(tmp_path) as channels:
        for size, count in ((4 * MIB, 4), (16 * MIB, 1), (63 * MIB, 1), (0, 100_000)):
            sends: Any = ["send", size, count]
            direct, through = await outcomes(Call([sends, *READ], [["read-all"], sends]), channels)
            assert direct == through
            assert direct.status == 0
            assert len(direct.received) == count
