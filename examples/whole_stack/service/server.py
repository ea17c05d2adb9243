"""A gRPC service for the example, without generated code: greetings.v1.Greeter/Hello takes and gives bytes."""

from __future__ import annotations

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import grpc

METHOD = "Hello"
SERVICE = "greetings.v1.Greeter"


def hello(name: bytes, _context: grpc.ServicerContext) -> bytes:
    return b"hello, %s, from %s" % (name, socket.gethostname().encode())


def main() -> None:
    # Before gRPC starts its threads, which inherit it: the signal waits for `sigwait`, whichever thread it comes to.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = grpc.server(ThreadPoolExecutor(8))
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {METHOD: grpc.unary_unary_rpc_method_handler(hello)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"{os.environ.get('BIND_ADDRESS', '[::]')}:{os.environ.get('PORT', '50051')}")
    server.start()
    print("serving", flush=True)
    signal.sigwait({signal.SIGTERM})
    # The balancers hear of the stop within about a second. Until then they send calls, so go on serving for a while.
    server.wait_for_termination(timeout=float(os.environ.get("SHUTDOWN_GRACE_SECONDS", "10")))
    server.stop(grace=30).wait()
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
