"""The server's life: listen, serve, and on SIGTERM stop without dropping a call."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from contextlib import suppress

from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from rng_service.rng.v1 import random_number_pb2 as pb2
from rng_service.rng.v1 import random_number_pb2_grpc as pb2_grpc
from rng_service.service import RandomNumber
from rng_service.settings import Settings, host_port

SERVICE_NAME = pb2.DESCRIPTOR.services_by_name["RandomNumber"].full_name
# grpc/include/grpc/impl/channel_arg_names.h
SERVER_OPTIONS = (
    # A second server on the same port is a mistake to be told, not a share of its connections.
    ("grpc.so_reuseport", 0),
    # A balancer's keepalive pings come more often than one in 5 minutes, and by default the third of those that came
    # too early is answered with GOAWAY too_many_pings (grpc/doc/keepalive.md).
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    # gRPC cancels calls at random once 1,000 wait for the application, and all from 3,000 on: after a short stall they
    # would be lost though their callers still want them (grpc/src/core/server/server.h).
    ("grpc.server.max_pending_requests", 1_000_000),
    ("grpc.server.max_pending_requests_hard_limit", 2_000_000),
    # A balancer that vanished without a word is noticed, and its streams end.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)

log = logging.getLogger("rng_service")


class ListenError(Exception):
    """The port cannot be listened on; the message says why and what to do."""


class Health(health.aio.HealthServicer):
    """The standard health service, whose watches end when told to: they never would by themselves, and a server that
    stops waits for its calls."""

    def __init__(self) -> None:
        super().__init__()
        self._watches: set[asyncio.Task[None]] = set()

    async def Watch(  # noqa: N802 - the name in the proto
        self,
        request: health_pb2.HealthCheckRequest,
        context: aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse],
    ) -> None:
        watch = asyncio.create_task(super().Watch(request, context))
        self._watches.add(watch)
        try:
            await asyncio.wait({watch})
        finally:
            self._watches.discard(watch)
            watch.cancel()

    def end_watches(self) -> None:
        for watch in self._watches:
            watch.cancel()


class Signals:
    """SIGTERM and SIGINT, each told once to whoever waits."""

    def __init__(self) -> None:
        self._arrived = asyncio.Semaphore(0)

    def listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.arrive)

    def arrive(self) -> None:
        self._arrived.release()

    async def next(self, within: float | None = None) -> None:
        """Wait for the next signal, at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._arrived.acquire()


class Server:
    """The random-number service with health and reflection."""

    def __init__(self, settings: Settings, task: str) -> None:
        self._settings = settings
        self.task = task
        self.random_number = RandomNumber(task)
        self.health = Health()
        self.grpc = aio.server(options=SERVER_OPTIONS)
        pb2_grpc.add_RandomNumberServicer_to_server(self.random_number, self.grpc)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.grpc)
        names = (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self.grpc)

    async def start(self) -> str:
        """Listen and serve; return the address listened on. Raises ListenError."""
        try:
            port = self.grpc.add_insecure_port(self._settings.listen)
        except RuntimeError as error:
            raise ListenError(listen_problem(self._settings) or str(error)) from error
        await self.grpc.start()
        await self.health.set(SERVICE_NAME, health_pb2.HealthCheckResponse.SERVING)
        return host_port(self._settings.bind_address, port)

    async def stop(self, signals: Signals) -> None:
        """Stop in the steps of the settings; a signal ends the step at hand."""
        await self.health.enter_graceful_shutdown()
        log.info("stopping: health is NOT_SERVING, serving on for %g s", self._settings.grace)
        await signals.next(self._settings.grace)
        log.info("stopping: closing connections, running calls have %g s", self._settings.calls)
        # gRPC itself cancels calls that arrive while GOAWAY is on its way: the grace time is there so that none do.
        self.health.end_watches()
        stopping = asyncio.create_task(self.grpc.stop(self._settings.calls))
        hurry = asyncio.create_task(signals.next())
        await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            log.info("stopping: told again, cutting the calls that still run")
            await self.grpc.stop(None)
        hurry.cancel()
        await stopping


def listen_problem(settings: Settings) -> str | None:
    """Why the address cannot be listened on: gRPC only says that it failed."""
    family = socket.AF_INET6 if ":" in settings.bind_address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.bind_address, settings.port))
            probe.listen()
        except OSError as error:
            return (
                f"{settings.listen} must be free to listen on, got {error.strerror}; "
                "stop what listens there, or set PORT or BIND_ADDRESS to another"
            )
    return None


async def serve(settings: Settings, task: str) -> None:
    """Serve until told to stop by SIGTERM or SIGINT. Raises ListenError."""
    signals = Signals()
    signals.listen()
    server = Server(settings, task)
    address = await server.start()
    log.info("serving %s on %s as %s", SERVICE_NAME, address, task)
    await signals.next()
    await server.stop(signals)
    log.info("stopped")
