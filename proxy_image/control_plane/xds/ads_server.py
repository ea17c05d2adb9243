"""The ADS server: one stream a client, Envoy over a unix socket, gRPC clients over TCP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import grpc
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from proxy_image.control_plane.recurring_log import Reminder
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.resource_types import BY_URL, Audience
from proxy_image.control_plane.xds.subscriptions import Meaning, Request, Response, Subscriptions

log = logging.getLogger(__name__)

SERVER_OPTIONS = (
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
STOP_SECONDS = 0.5


class Observer(Protocol):
    """Who wants to know what happens on the streams. Types and audiences are few; nodes are not for metrics."""

    def stream_opened(self, audience: Audience) -> None: ...
    def stream_closed(self, audience: Audience, node: str) -> None: ...
    def response_sent(self, audience: Audience, resource_type: str) -> None: ...
    def rejected(self, audience: Audience, resource_type: str, node: str, error: str) -> None: ...
    def accepted(self, audience: Audience, resource_type: str, node: str) -> None: ...
    def in_use(self, audience: Audience, generation: str) -> None:
        """A client has taken all of a generation."""


class AdsService(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]  # xds-protos has no types
    """`StreamAggregatedResources`, state of the world."""

    def __init__(self, cache: SnapshotCache, observer: Observer) -> None:
        self._cache = cache
        self._observer = observer

    async def StreamAggregatedResources(self, _requests: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        first = await context.read()
        if first is grpc.aio.EOF:
            return
        # By the socket, whatever the client says of itself: only our Envoy reaches the unix socket.
        audience = Audience.ENVOY if context.peer().startswith("unix:") else Audience.GRPC
        self._observer.stream_opened(audience)
        log.info("xds stream opened", extra={"facts": {"audience": audience, "node": first.node.id}})
        try:
            await _Stream(audience, first.node.id, self._cache, self._observer, context).serve(first)
        finally:
            self._observer.stream_closed(audience, first.node.id)
            log.info("xds stream closed", extra={"facts": {"audience": audience, "node": first.node.id}})


class _Stream:
    def __init__(self, audience: Audience, node: str, cache: SnapshotCache, observer: Observer, context: Any) -> None:
        self._audience = audience
        self._node = node
        self._cache = cache
        self._observer = observer
        self._context = context
        self._subscriptions = Subscriptions()
        self._unknown_types: set[str] = set()
        self._rejected: dict[str, tuple[Request, Reminder]] = {}

    async def serve(self, first: Any) -> None:
        self._receive(first)
        snapshot, in_use = self._cache.snapshot, None
        reading = asyncio.ensure_future(self._context.read())
        changing = asyncio.ensure_future(self._cache.newer_than(snapshot))
        try:
            while True:
                if snapshot is not None:
                    resources = snapshot.audiences[self._audience]
                    await self._send(self._subscriptions.due(resources))
                    if in_use is not snapshot and self._subscriptions.is_in_use(resources):
                        in_use = snapshot
                        self._observer.in_use(self._audience, snapshot.generation)
                until = self._remind()
                await asyncio.wait((reading, changing), timeout=until, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    request = reading.result()
                    if request is grpc.aio.EOF:
                        return
                    self._receive(request)
                    reading = asyncio.ensure_future(self._context.read())
                if changing.done():
                    snapshot = changing.result()
                    changing = asyncio.ensure_future(self._cache.newer_than(snapshot))
        finally:
            for task in (reading, changing):
                task.cancel()
                with suppress(asyncio.CancelledError, grpc.aio.BaseError, grpc.aio.UsageError):
                    await task

    def _receive(self, message: Any) -> None:
        error = message.error_detail.message or f"code {message.error_detail.code}"
        request = Request(
            message.type_url,
            tuple(message.resource_names),
            message.response_nonce,
            message.version_info,
            error if message.HasField("error_detail") else None,
        )
        meaning = self._subscriptions.receive(request)
        if meaning is Meaning.UNKNOWN_TYPE:
            self._refuse_type(request.type_url)
        elif request.error is not None:
            self._observer.rejected(self._audience, BY_URL[request.type_url].value, self._node, request.error)
            self._rejected[request.type_url] = request, Reminder()
        elif meaning is Meaning.ACK:
            self._observer.accepted(self._audience, BY_URL[request.type_url].value, self._node)
            self._rejected.pop(request.type_url, None)
        log.debug("xds request", extra={"facts": {"node": self._node, "meaning": meaning.name, "request": request}})

    def _refuse_type(self, type_url: str) -> None:
        # No answer: the client goes on without, as the protocol has it, and its other types are served.
        if type_url not in self._unknown_types and len(self._unknown_types) < 100:
            self._unknown_types.add(type_url)
            known = ", ".join(BY_URL)
            log.warning(
                "xds type refused",
                extra={"facts": {"audience": self._audience, "node": self._node, "type": type_url, "known": known}},
            )

    def _remind(self) -> float | None:
        """Says what is rejected, and again while it is; returns the seconds to the next time."""
        for request, reminder in self._rejected.values():
            if reminder.is_due(request):
                self._tell_rejection(request)
        return min((max(0.0, each.seconds_left) for _, each in self._rejected.values()), default=None)

    def _tell_rejection(self, request: Request) -> None:
        log.error(
            "xds resource rejected",
            extra={
                "facts": {
                    "audience": self._audience,
                    "node": self._node,
                    "type": BY_URL[request.type_url].value,
                    "error": request.error,
                    "kept_version": request.version,
                }
            },
        )

    async def _send(self, responses: Iterable[Response]) -> None:
        for response in responses:
            await self._context.write(
                discovery_pb2.DiscoveryResponse(
                    type_url=response.type.url,
                    version_info=response.version,
                    nonce=response.nonce,
                    resources=[resource.envelope for resource in response.resources],
                )
            )
            self._observer.response_sent(self._audience, response.type.value)


class AdsServer:
    """A listening ADS server: `async with`, on a unix socket (a `Path`) or an address `host:port`."""

    def __init__(self, service: AdsService, where: Path | str) -> None:
        self._service = service
        self._where = where
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Raises `OSError` where the address cannot be listened on."""
        server = grpc.aio.server(options=SERVER_OPTIONS)
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(self._service, server)
        address = f"unix:{self._where}" if isinstance(self._where, Path) else self._where
        try:
            self.port = server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: {error}") from None
        if isinstance(self._where, Path):
            self._where.chmod(0o600)
        await server.start()
        self._server = server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(STOP_SECONDS)

    async def __aenter__(self) -> AdsServer:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()
