"""gRPC servers that tell who they are and what they see of a call: one for each address that a task may have."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from tests.grpc_servers import SERVER_OPTIONS

PORTS = (50051, 50052, 8080)
ADDRESSES = 6
MARKERS = 2
"""Further addresses, for what tells that a batch is served."""

# Each test run has a block of loopback addresses of its own, so that the ports in labels may be fixed.
_BLOCK = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}"


def address(number: int) -> str:
    """Sets share addresses: what tells them apart is who asks."""
    return f"{_BLOCK}.{1 + number % ADDRESSES}"


def marker(number: int) -> str:
    return f"{_BLOCK}.{1 + ADDRESSES + number % MARKERS}"


@contextmanager
def backends() -> Iterator[None]:
    with ThreadPoolExecutor(8) as pool:
        servers = [
            _server(f"{_BLOCK}.{number + 1}", port, pool) for number in range(ADDRESSES + MARKERS) for port in PORTS
        ]
        try:
            yield
        finally:
            for server in servers:
                server.stop(0).wait()


def _server(ip: str, port: int, pool: ThreadPoolExecutor) -> grpc.Server:
    server = grpc.server(pool, handlers=[_Anything(f"{ip}:{port}")], options=SERVER_OPTIONS)
    bound = server.add_insecure_port(f"{ip}:{port}")
    assert bound == port
    server.start()
    return server


class _Anything(grpc.GenericRpcHandler):
    """Whatever is called, the answer is the server's name and the call's metadata."""

    def __init__(self, name: str) -> None:
        self._name = name

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        metadata = [(str(key), str(value)) for key, value in details.invocation_metadata]

        def answer(_request: bytes, _context: grpc.ServicerContext) -> bytes:
            return json.dumps({"server": self._name, "metadata": metadata}).encode()

        return grpc.unary_unary_rpc_method_handler(answer)
