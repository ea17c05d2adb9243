"""The client and the server of grpcio with threads."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc

from tests.grpc_servers import SERVER_OPTIONS
from tests.transparency.peers.grpc_aio import CODES, OPTIONS
from tests.transparency.peers.script import METHOD, SCRIPT, SERVICE, Call, Outcome, Step, pairs, shown, written

THREADS = 64


@contextmanager
def server() -> Iterator[int]:
    running = grpc.server(futures.ThreadPoolExecutor(THREADS), options=[*SERVER_OPTIONS, *OPTIONS])
    handler: Any = grpc.stream_stream_rpc_method_handler(_serve, None, None)
    running.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Call": handler}),))
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    try:
        yield port
    finally:
        running.stop(0).wait()


def _serve(messages: Iterator[bytes], context: Any) -> Iterator[bytes]:
    metadata = context.invocation_metadata()
    steps: Sequence[Step] = json.loads(dict(metadata)[SCRIPT])
    for name, *arguments in steps:
        match name:
            case "initial":
                context.send_initial_metadata(written(arguments[0]))
            case "read":
                for _ in range(arguments[0]):
                    next(messages, None)
            case "read-all":
                for _ in messages:
                    pass
            case "send":
                for _ in range(arguments[1]):
                    yield b"m" * arguments[0]
            case "sleep":
                time.sleep(arguments[0])
            case "tell":
                yield json.dumps(pairs(metadata)).encode()
            case "stay":
                over = threading.Event()
                if context.add_callback(over.set):
                    over.wait()
            case "end":
                context.set_trailing_metadata(written(arguments[2]))
                context.set_code(CODES[arguments[0]])
                context.set_details(arguments[1])
                return


def outcome(call: Call, port: int) -> Outcome:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0), *OPTIONS]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        sending: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        method: Any = channel.stream_stream(METHOD)
        running = method(iter(sending.get, None), metadata=call.sent, timeout=call.deadline)
        received: list[str] = []
        try:
            for name, *arguments in call.caller:
                match name:
                    case "send":
                        for _ in range(arguments[1]):
                            sending.put(b"m" * arguments[0])
                    case "half-close":
                        sending.put(None)
                    case "read" | "read-all":
                        while name == "read-all" or len(received) < arguments[0]:
                            received.append(shown(next(running)))
                    case "sleep":
                        time.sleep(arguments[0])
                    case "cancel":
                        running.cancel()
        except (StopIteration, grpc.RpcError):
            pass
        status = running.code()
        sending.put(None)
        return Outcome(
            status.value[0],
            running.details() or "",
            pairs(running.initial_metadata()),
            pairs(running.trailing_metadata()),
            tuple(received),
        )
