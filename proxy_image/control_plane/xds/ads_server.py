"""The ADS server: Envoy over a unix socket, gRPC clients over TCP, state of the world."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import grpc
from envoy.service.load_stats.v3 import lrs_pb2

from proxy_image.control_plane.limits.descriptors import MAX_XDS
from proxy_image.control_plane.limits.log_rate import LogRate
from proxy_image.control_plane.limits.per_xds_client import GrpcClient
from proxy_image.control_plane.limits.refusal import RefusedError, RefusedStream
from proxy_image.control_plane.limits.xds_rate import Turns
from proxy_image.control_plane.limits.xds_requests import MAX_REQUEST_BYTES
from proxy_image.control_plane.limits.xds_streams import MAX_STREAMS_PER_CONNECTION, Streams, Ticket
from proxy_image.control_plane.xds import ads_stream
from proxy_image.control_plane.xds.ads_stream import Observer, Stream
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.proxyless import load_reports
from proxy_image.control_plane.xds.proxyless.client_register import ClientRegister
from proxy_image.control_plane.xds.resource_types import Audience

log = logging.getLogger(__name__)
# What clients get wrong may be gRPC's to tell.
for _logger in (log, ads_stream.log, *map(logging.getLogger, ("grpc._cython.cygrpc", "asyncio"))):
    _logger.addFilter(LogRate())

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "StreamAggregatedResources"
DELTA_METHOD = "DeltaAggregatedResources"

_SERVER_OPTIONS = (
    # Two servers on one port would share its clients without a word.
    ("grpc.so_reuseport", 0),
    ("grpc.max_send_message_length", -1),
    # A client that vanished without a word is noticed, and its stream's memory freed.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Envoy's keepalive comes more often than the 5 minutes that gRPC servers allow by default, and on quiet streams.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
# Of connections that anyone may open: https://grpc.github.io/grpc/core/group__grpc__arg__keys.html
_CLIENT_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    # A message is measured before it is decompressed: a hundred kilobytes may be a hundred megabytes.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    ("grpc.max_metadata_size", 8 * 2**10),
    ("grpc.absolute_max_metadata_size", 16 * 2**10),
    ("grpc.max_concurrent_streams", MAX_STREAMS_PER_CONNECTION),
    # Connections that say nothing, or that say all of HTTP/2 and open no stream.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 20_000),
    # Otherwise the windows grow to megabytes a connection, for requests that have kilobytes.
    ("grpc.http2.bdp_probe", 0),
)
STOP_SECONDS = 0.5
LISTEN_AGAIN_SECONDS = 0.1
# Of grpcio's server, the coroutine that accepts calls.
_ACCEPTING = "AioServer._server_main_loop"


class AdsService:
    """`StreamAggregatedResources`, state of the world."""

    def __init__(
        self, cache: SnapshotCache, observer: Observer, clients: ClientRegister, streams: Streams | None = None
    ) -> None:
        self._cache = cache
        self._observer = observer
        self._clients = clients
        self.streams = Streams() if streams is None else streams
        self._turns = Turns()
        self._reporting = Streams()
        self._handlers: set[asyncio.Task[Any]] = set()

    @property
    def handler(self) -> grpc.GenericRpcHandler:
        # Requests come as bytes: whose turn it is decides when they are read, not when they arrived.
        # Responses go as bytes too: their resources are the same for many.
        method: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(self.serve)
        delta: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(_refuse_delta)
        return grpc.method_handlers_generic_handler(SERVICE, {METHOD: method, DELTA_METHOD: delta})

    @property
    def reports_handler(self) -> grpc.GenericRpcHandler:
        method: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
            self._take_reports, response_serializer=lrs_pb2.LoadStatsResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler(load_reports.SERVICE, {load_reports.METHOD: method})

    async def ended(self) -> None:
        """Wait for handlers whose servers have stopped. One that the event loop cancels at its end logs a traceback."""
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=STOP_SECONDS)
            await asyncio.sleep(0)

    @contextmanager
    def _handling(self) -> Iterator[None]:
        handler = cast("asyncio.Task[Any]", asyncio.current_task())
        self._handlers.add(handler)
        try:
            yield
        finally:
            # Not before it has ended: what comes after this is gRPC's.
            handler.add_done_callback(self._handlers.discard)

    async def _take_reports(self, _requests: Any, context: Any) -> None:
        def serve_reports(_ticket: Ticket) -> Awaitable[None]:
            return load_reports.serve_reports(context, self._clients.calls, self._services)

        with self._handling():
            refusal = await _serve_among(self._reporting, context.peer(), serve_reports)
            if refusal is not None:
                await context.abort(refusal.code, refusal.message)

    def _services(self) -> Collection[str]:
        snapshot = self._cache.snapshot
        return () if snapshot is None or snapshot.clients is None else snapshot.clients.tables.services.keys()

    async def serve(self, _requests: Any, context: Any) -> None:
        with self._handling():
            await self._serve(context)

    async def _serve(self, context: Any) -> None:
        # By the socket, whatever the client says of itself: only our Envoy reaches the unix socket.
        if context.peer().startswith("unix:"):
            await Stream(Audience.ENVOY, self._cache, self._observer, context, self._clients).serve()
            return

        def serve_client(ticket: Ticket) -> Awaitable[None]:
            client = GrpcClient(self.streams, ticket, self._turns)
            return Stream(Audience.GRPC, self._cache, self._observer, context, self._clients, client).serve()

        refusal = await _serve_among(self.streams, context.peer(), serve_client)
        if refusal is not None:
            log.warning(
                "xds stream rejected",
                extra={"facts": {"peer": context.peer(), "code": refusal.code.name, "error": refusal.message}},
            )
            await context.abort(refusal.code, refusal.message)


async def _serve_among(streams: Streams, peer: str, serve: Callable[[Ticket], Awaitable[None]]) -> RefusedStream | None:
    """Serve a client's stream as one of these: what it is ended with, None where the client ends it."""
    told: asyncio.Future[RefusedStream] = asyncio.get_running_loop().create_future()

    def end(refusal: RefusedStream) -> None:
        if not told.done():
            told.set_result(refusal)

    try:
        ticket = streams.enter(peer, end)
    except RefusedError as error:
        return error.refusal
    serving = asyncio.ensure_future(serve(ticket))
    try:
        await asyncio.wait((serving, told), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
            return None
        return told.result()
    except RefusedError as error:
        return error.refusal
    finally:
        streams.leave(ticket)
        told.cancel()
        serving.cancel()
        with suppress(asyncio.CancelledError, grpc.aio.BaseError, grpc.aio.UsageError, RefusedError):
            await serving


async def _refuse_delta(_requests: Any, context: Any) -> None:
    message = f"incremental xDS is not served: call {METHOD} (state of the world; in Envoy api_type GRPC)"
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, message)


class AdsServer:
    """A listening ADS server: `async with`, on a unix socket (a `Path`) or an address `host:port`.

    At the first call whose path is not UTF-8, which anyone may send, a grpcio server (1.85) closes its port for good
    and serves only the streams that it has. Another one then takes its place.
    """

    def __init__(
        self,
        service: AdsService,
        where: Path | str,
        *,
        connections: int = MAX_XDS,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        """connections: how many clients may have at once on an address; one more is closed as it comes. stop_seconds:
        how long streams may go on once it stops, which no client ends by itself.
        """
        self._service = service
        self._where = where
        self._connections = connections
        self._stop_seconds = stop_seconds
        self._servers: list[grpc.aio.Server] = []
        self._background: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self) -> None:
        """Raises `OSError` where the address cannot be listened on."""
        self._in_background(self._keep_listening(await self._listen()))

    async def _listen(self) -> asyncio.Task[Any] | None:
        """A further server. Returns what accepts its calls."""
        is_own = isinstance(self._where, Path)
        bounds = () if is_own else (*_CLIENT_OPTIONS, ("grpc.max_allowed_incoming_connections", self._connections))
        server = grpc.aio.server(options=(*_SERVER_OPTIONS, *bounds))
        server.add_generic_rpc_handlers((self._service.handler,))
        if not is_own:
            server.add_generic_rpc_handlers((self._service.reports_handler,))
        try:
            self.port = server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self._address}: {error}") from None
        if isinstance(self._where, Path):
            self._where.chmod(0o600)
        before = asyncio.all_tasks()
        await server.start()
        self._servers.append(server)
        started = asyncio.all_tasks() - before
        return next((task for task in started if getattr(task.get_coro(), "__qualname__", "") == _ACCEPTING), None)

    @property
    def _address(self) -> str:
        if isinstance(self._where, Path):
            return f"unix:{self._where}"
        host, _, port = self._where.rpartition(":")
        return f"{host}:{self.port or port}"

    async def _keep_listening(self, accepting: asyncio.Task[Any] | None) -> None:
        while accepting is not None:
            await asyncio.wait((accepting,))
            problem = accepting.exception()
            log.warning("ads server starts again", extra={"facts": {"address": self._address, "problem": str(problem)}})
            self._in_background(self._forget(self._servers[-1]))
            while True:
                try:
                    accepting = await self._listen()
                    break
                except OSError:
                    await asyncio.sleep(LISTEN_AGAIN_SECONDS)

    async def _forget(self, server: grpc.aio.Server) -> None:
        """Once its last stream has ended."""
        with suppress(Exception):  # what ended it, once more
            await server.wait_for_termination()
        self._servers.remove(server)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def stop(self) -> None:
        background = tuple(self._background)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await asyncio.gather(*(server.stop(self._stop_seconds) for server in self._servers))

    async def __aenter__(self) -> AdsServer:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()
