"""A gRPC proxy of a few lines: each call is made again, to the servers in turn. `naive_proxy.py PORT SERVER_PORT...`"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]


class Forward(grpc.GenericRpcHandler):
    def __init__(self, channels: list[grpc.aio.Channel]) -> None:
        self._channels = itertools.cycle(channels)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method, channels = str(handler_call_details.method), self._channels

        async def forward(requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
            call: Any = next(channels).stream_stream(method)
            async for answer in call(requests):
                yield answer

        return grpc.stream_stream_rpc_method_handler(forward)


async def main(port: str, *servers: str) -> None:
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{server}", options=UNLIMITED) for server in servers]
    proxy = grpc.aio.server(options=UNLIMITED)
    proxy.add_generic_rpc_handlers((Forward(channels),))
    proxy.add_insecure_port(f"127.0.0.1:{port}")
    await proxy.start()
    await proxy.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
