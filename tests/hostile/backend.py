"""`python -m tests.hostile.backend`: the gRPC server that attackers call, apart from the honest callers' own."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc

from tests.grpc_servers import SERVER_OPTIONS
from tests.hostile.names import SERVICE

LARGE_BYTES = 4 * 2**20
OPTIONS = [*SERVER_OPTIONS, ("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


async def _who(_request: bytes, _context: Any) -> bytes:
    return b"hit"


async def _large(_request: bytes, _context: Any) -> bytes:
    return bytes(LARGE_BYTES)


async def _upload(_parts: Any, _context: Any) -> bytes:
    """Reads nothing, for as long as the caller stays."""
    await asyncio.Event().wait()
    return b""


async def serve() -> None:
    server = grpc.aio.server(options=OPTIONS)
    handlers: dict[str, Any] = {
        "Who": grpc.unary_unary_rpc_method_handler(_who),
        "Large": grpc.unary_unary_rpc_method_handler(_large),
        "Upload": grpc.stream_unary_rpc_method_handler(_upload),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    # Until the test closes standard input, or is gone.
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(serve())
