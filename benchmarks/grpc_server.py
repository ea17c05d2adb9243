"""A gRPC server in a process of its own: one unary method, always the same answer."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

METHOD = "/benchmark.Echo/Echo"

SERVER = """
import asyncio, sys, grpc

async def serve(service, method, answer):
    async def handle(request, context):
        return answer
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(handle)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()

asyncio.run(serve(sys.argv[1], sys.argv[2], sys.argv[3].encode()))
"""


@contextlib.contextmanager
def server(method: str, answer: str) -> Iterator[int]:
    """Yields its port."""
    _, service, name = method.split("/")
    command = [sys.executable, "-c", SERVER, service, name, answer]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()
