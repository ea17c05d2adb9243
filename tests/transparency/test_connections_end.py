"""Connections to servers end, by age or because the server dies: what their calls see, and what others do."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.proxy_image.control_plane.support import eventually
from tests.transparency.balanced import balanced
from tests.transparency.neighbours import bystander, same
from tests.transparency.peers import grpc_aio, raw_h2
from tests.transparency.peers.script import Call, Outcome
from tests.transparency.test_shared import service_of_host

READ: Any = [["half-close"], ["read-all"]]
CALLERS, CALLS = 15, 3
AGE_SECONDS = 0.3
# Envoy holds so much of one answer, and of all of a connection, for callers that do not read (docs/transparency.md).
ANSWER, ANSWERS = 200_000, 35
AHEAD = 2**30
UNAVAILABLE, INTERNAL = 14, 13


@pytest.mark.parametrize(
    "call",
    [
        Call(READ, [["read-all"], ["sleep", 0.1], ["send", ANSWER, 1]]),
        Call(READ, [["send", 60_000, 2], ["sleep", 0.2], ["send", 30_000, 2], ["end", 5, "gone", [("t", "1")]]]),
        Call(READ, [["read-all"], ["sleep", 0.1], ["send", 10, 1]]),
    ],
    ids=["large answers", "streams", "small answers"],
)
async def test_a_server_that_ends_its_connections_by_age_loses_no_answer(tmp_path: Path, call: Call) -> None:
    # Not grpcio's server: it closes connections in a way that loses large answers on a busy machine, directly too.
    async def outcomes(port: int) -> Counter[Outcome]:
        async with grpc_aio.channel(port) as channel:

            async def one_by_one() -> list[Outcome]:
                return [same(await grpc_aio.outcome(call, channel)) for _ in range(CALLS)]

            return Counter(chain(*await asyncio.gather(*(one_by_one() for _ in range(CALLERS)))))

    async with (
        raw_h2.server(max_age_seconds=AGE_SECONDS) as aging,
        balanced(tmp_path, aging.port) as ways,
    ):
        direct = await outcomes(ways.direct)
        through = await outcomes(ways.balanced)
        assert len(direct) == 1
        assert through == direct
        # Connections did end meanwhile.
        assert await ways.envoy.stat("cluster.rng.upstream_cx_destroy") > 0


async def test_answers_that_wait_for_a_caller_outlive_the_connection_they_came_on(tmp_path: Path) -> None:
    call = Call(READ, [["send", ANSWER, 1]])
    async with (
        raw_h2.server() as server,
        balanced(tmp_path, server.port) as ways,
        raw_h2.connected(ways.balanced, initial_window_size=AHEAD) as caller,
    ):
        # GIVEN a caller that asks for much, and reads none of it
        caller.h2.increment_flow_control_window(AHEAD)
        caller.flush()
        caller.reads.clear()
        outcomes = [asyncio.create_task(raw_h2.outcome(call, caller)) for _ in range(ANSWERS)]
        await eventually(lambda: sum(len(connection.streams) for connection in server.connections) == ANSWERS)
        # WHEN the server has sent it all, and ends its connections
        for connection in server.connections:
            await server.retire(connection)
        await eventually(lambda: all(connection.is_over for connection in server.connections))
        # THEN it reads all of it
        caller.reads.set()
        seen = Counter(same(outcome) for outcome in await asyncio.gather(*outcomes))
        assert seen == {Outcome(0, "", received=(f"{ANSWER} bytes",)): ANSWERS}


@pytest.mark.parametrize(
    ("steps", "statuses"),
    [
        ([["read", 2], ["end", 0, "", []]], {UNAVAILABLE}),
        # docs/transparency.md: once response headers are sent, Envoy can only reset a stream.
        ([["send", 10, 1], ["read", 2], ["end", 0, "", []]], {INTERNAL, UNAVAILABLE}),
    ],
    ids=["before it answers", "in mid-stream"],
)
async def test_a_server_that_dies_ends_its_calls_and_nobody_elses(
    tmp_path: Path, steps: Any, statuses: set[int]
) -> None:
    call = Call([["send", 10, 1], ["read-all"]], steps)
    async with (
        raw_h2.server() as dying,
        grpc_aio.server() as port,
        balanced(tmp_path, port, service_of_host("slow.test", dying.port)) as ways,
        grpc_aio.channel(dying.port) as directly,
        grpc_aio.channel(ways.balanced, **{"grpc.default_authority": "slow.test"}) as channel,
        grpc_aio.channel(ways.balanced) as neighbour,
        bystander(neighbour),
    ):
        direct = asyncio.create_task(grpc_aio.outcome(call, directly))
        through = [asyncio.create_task(grpc_aio.outcome(call, channel)) for _ in range(10)]
        await eventually(lambda: sum(len(connection.streams) for connection in dying.connections) == 11)
        # For the answers that there are to come; where they have not, the calls end as in the other case.
        await asyncio.sleep(0.5)
        dying.end()
        assert (await direct).status == UNAVAILABLE
        assert {outcome.status for outcome in await asyncio.gather(*through)} <= statuses
