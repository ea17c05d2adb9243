"""The server behind every proxy: sends back what it gets, as one message or as a hundred. Prints its port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

SERVICE = "benchmark.Echo"
STREAM_MESSAGES = 100


async def unary(request: bytes, _context: Any) -> bytes:
    return request


async def stream(request: bytes, _context: Any) -> AsyncIterator[bytes]:
    for _ in range(STREAM_MESSAGES):
        yield request


async def main() -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handlers: dict[str, Any] = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.unary_stream_rpc_method_handler(stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
