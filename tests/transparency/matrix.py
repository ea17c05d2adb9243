"""Every behaviour, by every client against every server, directly and through the balancer, and what differs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.transparency.balanced import balanced
from tests.transparency.behaviours import BEHAVIOURS
from tests.transparency.differences import documented
from tests.transparency.neighbours import bystander
from tests.transparency.peers import grpc_aio, grpc_sync, raw_h2
from tests.transparency.peers.grpc_js import Node, node
from tests.transparency.peers.script import Call, Outcome

SERVERS = ("grpc.aio", "grpcio", "grpc-js", "h2")

DEADLINE_EXCEEDED = 4
PATIENCE_SECONDS = 90

Run = Callable[[Call, int], Awaitable[Outcome]]


@asynccontextmanager
async def server(kind: str, running: Node) -> AsyncIterator[int]:
    match kind:
        case "grpc.aio":
            async with grpc_aio.server() as port:
                yield port
        case "grpcio":
            with grpc_sync.server() as port:
                yield port
        case "grpc-js":
            yield await running.server()
        case "h2":
            async with raw_h2.server(max_concurrent_streams=1000) as raw:
                yield raw.port


def clients(running: Node) -> dict[str, Run]:
    async def by_aio(call: Call, port: int) -> Outcome:
        async with grpc_aio.channel(port) as channel:
            return await grpc_aio.outcome(call, channel)

    async def by_threads(call: Call, port: int) -> Outcome:
        return await asyncio.to_thread(grpc_sync.outcome, call, port)

    async def by_frames(call: Call, port: int) -> Outcome:
        async with raw_h2.connected(port) as connection:
            return await raw_h2.outcome(call, connection)

    return {"grpc.aio": by_aio, "grpcio": by_threads, "grpc-js": running.outcome, "h2": by_frames}


def differences(direct: Outcome, through: Outcome) -> set[str]:
    """In the words of the documentation's table."""
    if direct == through:
        return set()
    found = set()
    # Who ends a call at its deadline, client or server, is a race, directly too: each has its own words and metadata.
    is_race = direct.status == through.status == DEADLINE_EXCEEDED
    for has, had in () if is_race else ((through.initial, direct.initial), (through.trailing, direct.trailing)):
        more, less = timeless(has) - timeless(had), timeless(had) - timeless(has)
        found |= {f"+{key}" for key, _ in more} | {f"-{key}" for key, _ in less}
    # So is what has come by then.
    if direct.received != through.received and not (is_race and one_goes_on(direct.received, through.received)):
        found |= told(direct, through)
    if direct.status != through.status:
        found.add(f"status {direct.status} as {through.status}")
    if direct.message != through.message and not is_race:
        found.add("message")
    return found


def one_goes_on(*received: tuple[str, ...]) -> bool:
    """Whether what one has received is how the other one's began."""
    less, more = sorted(received, key=len)
    return more[: len(less)] == less


def timeless(metadata: tuple[tuple[str, str], ...]) -> set[tuple[str, str]]:
    return {(key, "" if key == "date" else value) for key, value in metadata}


def told(direct: Outcome, through: Outcome) -> set[str]:
    """What differs in the messages: where a server tells its metadata, which."""
    if len(direct.received) == len(through.received) == 1 and direct.received[0].startswith("["):
        has, had = ({tuple(pair) for pair in json.loads(one.received[0])} for one in (through, direct))
        return {f"server +{key}" for key, _ in has - had} | {f"server -{key}" for key, _ in had - has}
    return {"messages"}


async def unexpected_differences(directory: Path, served_by: str, rounds: int = 1) -> list[str]:
    """What no row of the documentation allows, while a stream and calls of another caller run beside it all."""
    allowed = documented()
    async with (
        node() as running,
        server(served_by, running) as port,
        balanced(directory, port) as ways,
        grpc_aio.channel(ways.balanced) as neighbour,
    ):

        async def compared(kind: str, run: Run, name: str) -> str:
            call = BEHAVIOURS[name]
            async with asyncio.timeout(PATIENCE_SECONDS):
                found = differences(*await asyncio.gather(run(call, ways.direct), run(call, ways.balanced)))
            found -= {one.what for one in allowed if one.holds(name, kind, served_by)}
            return f"{name}, {kind} to {served_by}: {sorted(found)}" if found else ""

        unexpected: list[str] = []
        for kind, run in [*clients(running).items()] * rounds:
            async with bystander(neighbour):
                unexpected += await asyncio.gather(*(compared(kind, run, name) for name in BEHAVIOURS))
        return list(filter(None, unexpected))
