"""One ADS stream: what its client asks for, and what it is sent for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Protocol

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from proxy_image.control_plane.limits.xds_client import Client, OwnEnvoy
from proxy_image.control_plane.limits.xds_requests import MAX_UNKNOWN_TYPES, read_request, shortened
from proxy_image.control_plane.recurring_log import RecurringLog
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.proxyless.client_kind import ClientKind, read_client_kind
from proxy_image.control_plane.xds.proxyless.load_reports import CallCounts
from proxy_image.control_plane.xds.proxyless.unsupported_settings import Unfollowed
from proxy_image.control_plane.xds.resource_types import BY_URL, Audience, ResourceType
from proxy_image.control_plane.xds.snapshot import Snapshot
from proxy_image.control_plane.xds.subscriptions import Meaning, Request, Response, Subscriptions

log = logging.getLogger(__name__)


class Observer(Protocol):
    """Who wants to know what happens on the streams. Types and audiences are few; nodes are not for metrics."""

    def stream_opened(self, audience: Audience) -> None: ...
    def stream_closed(self, audience: Audience, node: str) -> None: ...
    def response_sent(self, audience: Audience, resource_type: str) -> None: ...
    def rejected(self, audience: Audience, resource_type: str, node: str, error: str) -> None: ...
    def accepted(self, audience: Audience, resource_type: str, node: str) -> None: ...
    def in_use(self, audience: Audience, generation: str) -> None:
        """A client has taken all of a generation."""

    def subscribed(
        self,
        stream: object,
        kind: ClientKind,
        zone: str,
        services: Collection[str],
        unfollowed: Collection[Unfollowed],
    ) -> None:
        """What a gRPC client calls now, and what of it that client cannot follow."""

    @property
    def reported_calls(self) -> CallCounts:
        """Where the calls that gRPC clients report are counted."""

    def gone(self, stream: object) -> None:
        """A gRPC client has ended its stream."""


class Stream:
    def __init__(
        self,
        audience: Audience,
        cache: SnapshotCache,
        observer: Observer,
        context: Any,
        client: Client | None = None,
    ) -> None:
        self._audience = audience
        self._cache = cache
        self._observer = observer
        self._context = context
        self._client: Client = OwnEnvoy() if client is None else client
        self._node = ""
        self._kind = ClientKind()
        self._zone = ""
        self._told: tuple[Snapshot, frozenset[str]] | None = None
        self._subscriptions = Subscriptions()
        self._unknown_types: set[str] = set()
        self._rejected: dict[str, tuple[Request, RecurringLog]] = {}

    async def serve(self) -> None:
        """Until the client ends the stream. Raises `RefusedError` where it has to be ended."""
        async with self._client.first_request():
            data = await self._context.read()
        if data is grpc.aio.EOF:
            return
        async with self._client.turn():
            first = read_request(data)
            self._client.asked(first, 0)
        self._node = first.node.id
        self._kind, self._zone = read_client_kind(first.node), first.node.locality.zone
        facts = {"audience": self._audience, "node": self._node, "client": self._kind.name}
        self._observer.stream_opened(self._audience)
        log.info("xds stream opened", extra={"facts": facts})
        try:
            await self._serve(first)
        finally:
            self._observer.stream_closed(self._audience, self._node)
            self._observer.gone(self)
            log.info("xds stream closed", extra={"facts": facts})

    async def _serve(self, first: Any) -> None:
        self._receive(first)
        snapshot, in_use = self._cache.snapshot, None
        reading = asyncio.ensure_future(self._read())
        changing = asyncio.ensure_future(self._cache.newer_than(snapshot))
        try:
            while True:
                if snapshot is not None:
                    in_use = await self._bring(snapshot, in_use)
                until = self._remind()
                await asyncio.wait((reading, changing), timeout=until, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    data = reading.result()
                    if data is grpc.aio.EOF:
                        return
                    async with self._client.turn():
                        request = read_request(data)
                        self._client.asked(request, len(self._unknown_types))
                        self._receive(request)
                    reading = asyncio.ensure_future(self._read())
                if changing.done():
                    snapshot = changing.result()
                    changing = asyncio.ensure_future(self._cache.newer_than(snapshot))
        finally:
            for task in (reading, changing):
                task.cancel()
                with suppress(asyncio.CancelledError, grpc.aio.BaseError, grpc.aio.UsageError):
                    await task

    async def _read(self) -> Any:
        await self._client.may_read()
        return await self._context.read()

    async def _bring(self, snapshot: Snapshot, in_use: Snapshot | None) -> Snapshot | None:
        """One step towards this snapshot. Returns the one that the client has taken all of."""
        resources = snapshot.resources(self._audience, self._kind, self._zone)
        self._tell_subscriptions(snapshot)
        async with self._client.turn():
            due = self._subscriptions.due(resources)
        for response in due:
            await self._send(response)
        if in_use is not snapshot and self._subscriptions.is_in_use(resources):
            self._observer.in_use(self._audience, snapshot.generation)
            return snapshot
        return in_use

    def _tell_subscriptions(self, snapshot: Snapshot) -> None:
        if self._audience is not Audience.GRPC or snapshot.clients is None:
            return
        subscribed = snapshot, self._subscriptions.names(ResourceType.CLUSTER)
        if subscribed != self._told:
            self._told = subscribed
            services, unfollowed = snapshot.clients.called(self._kind, subscribed[1])
            zone = snapshot.clients.known_zone(self._zone)
            self._observer.subscribed(self, self._kind, zone, services, unfollowed)

    def _receive(self, message: Any) -> None:
        error = message.error_detail.message or f"code {message.error_detail.code}"
        request = Request(
            message.type_url,
            tuple(message.resource_names),
            message.response_nonce,
            shortened(message.version_info),
            shortened(error) if message.HasField("error_detail") else None,
        )
        meaning = self._subscriptions.receive(request)
        self._client.holds(self._subscriptions.held_bytes)
        if meaning is Meaning.UNKNOWN_TYPE:
            self._refuse_type(request.type_url)
        elif request.error is not None:
            self._observer.rejected(self._audience, BY_URL[request.type_url].value, self._node, request.error)
            _, reminder = self._rejected.get(request.type_url, (None, RecurringLog()))
            self._rejected[request.type_url] = request, reminder
        elif meaning is Meaning.ACK:
            self._observer.accepted(self._audience, BY_URL[request.type_url].value, self._node)
            self._rejected.pop(request.type_url, None)
        log.debug("xds request", extra={"facts": {"node": self._node, "meaning": meaning.name, "request": request}})

    def _refuse_type(self, type_url: str) -> None:
        # No answer: the client goes on without, as the protocol has it, and its other types are served.
        if type_url not in self._unknown_types and len(self._unknown_types) <= MAX_UNKNOWN_TYPES:
            self._unknown_types.add(type_url)
            known = ", ".join(BY_URL)
            log.warning(
                "xds type rejected",
                extra={"facts": {"audience": self._audience, "node": self._node, "type": type_url, "known": known}},
            )

    def _remind(self) -> float | None:
        """Says what is rejected, and again while it is; returns the seconds to the next time."""
        for request, reminder in self._rejected.values():
            # Not the nonce: a client that rejects the same again says nothing new.
            if reminder.is_due((request.error, request.version)):
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

    async def _send(self, response: Response) -> None:
        message = discovery_pb2.DiscoveryResponse(
            type_url=response.type.url,
            version_info=response.version,
            nonce=response.nonce,
            resources=[resource.envelope for resource in response.resources],
        )
        async with self._client.sending(message.ByteSize()):
            await self._context.write(message)
        self._observer.response_sent(self._audience, response.type.value)
