"""The client and the server of grpc.aio."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from tests.grpc_servers import SERVER_OPTIONS
from tests.transparency.peers.script import METHOD, SCRIPT, SERVICE, Call, Outcome, Step, pairs, shown, written

LARGEST = 64 * 2**20
LARGEST_METADATA = 8 * 2**20
OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST),
    ("grpc.max_send_message_length", LARGEST),
    ("grpc.max_metadata_size", LARGEST_METADATA),
    ("grpc.absolute_max_metadata_size", LARGEST_METADATA),
)
# What writing to a call that has just ended raises, under a name that is private to grpcio.
ENDED: type[Exception] = sys.modules["grpc._cython.cygrpc"].ExecuteBatchError
CODES = {code.value[0]: code for code in grpc.StatusCode}


@asynccontextmanager
async def server(**options: Any) -> AsyncIterator[int]:
    """Yields the port on loopback."""
    running = grpc.aio.server(options=[*{**dict(SERVER_OPTIONS), **dict(OPTIONS), **options}.items()])
    running.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                SERVICE, {"Call": grpc.stream_stream_rpc_method_handler(_serve, None, None)}
            ),
        )
    )
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    try:
        yield port
    finally:
        await running.stop(0)


async def _serve(messages: AsyncIterator[bytes], context: Any) -> None:
    metadata = context.invocation_metadata()
    steps: Sequence[Step] = json.loads(dict(metadata)[SCRIPT])
    for name, *arguments in steps:
        match name:
            case "initial":
                await context.send_initial_metadata(written(arguments[0]))
            case "read":
                for _ in range(arguments[0]):
                    if await context.read() is grpc.aio.EOF:
                        break
            case "read-all":
                while await context.read() is not grpc.aio.EOF:
                    pass
            case "send":
                for _ in range(arguments[1]):
                    await context.write(b"m" * arguments[0])
            case "sleep":
                await asyncio.sleep(arguments[0])
            case "tell":
                await context.write(json.dumps(pairs(metadata)).encode())
            case "stay":
                await asyncio.Event().wait()
            case "end":
                status, message, trailing = arguments
                context.set_trailing_metadata(written(trailing))
                context.set_code(CODES[status])
                context.set_details(message)
                return


def channel(port: int, **options: Any) -> grpc.aio.Channel:
    """A channel whose connections no other channel shares, without retries of its own."""
    return grpc.aio.insecure_channel(
        f"127.0.0.1:{port}",
        options=[*{"grpc.use_local_subchannel_pool": 1, "grpc.enable_retries": 0, **dict(OPTIONS), **options}.items()],
    )


async def outcome(call: Call, on: grpc.aio.Channel) -> Outcome:
    running: Any = on.stream_stream(METHOD)(metadata=call.sent, timeout=call.deadline)
    received: list[str] = []
    try:
        for name, *arguments in call.caller:
            match name:
                case "send":
                    for _ in range(arguments[1]):
                        await running.write(b"m" * arguments[0])
                case "half-close":
                    await running.done_writing()
                case "read" | "read-all":
                    while name == "read-all" or len(received) < arguments[0]:
                        message = await running.read()
                        if message is grpc.aio.EOF:
                            break
                        received.append(shown(message))
                case "sleep":
                    await asyncio.sleep(arguments[0])
                case "cancel":
                    running.cancel()
        status = await running.code()
    except (grpc.RpcError, asyncio.CancelledError, asyncio.InvalidStateError, ENDED):
        # A call that ended under a step: the rest of what came is read.
        status = await running.code()
    return Outcome(
        status.value[0],
        await running.details() or "",
        pairs(await running.initial_metadata()),
        pairs(await running.trailing_metadata()),
        tuple(received),
    )
