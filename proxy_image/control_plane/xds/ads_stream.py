"""One ADS stream: what its client asks for, and what it is sent for it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import grpc

from proxy_image.control_plane.limits.per_xds_client import Client, OwnEnvoy
from proxy_image.control_plane.limits.xds_requests import MAX_UNKNOWN_TYPES, read_request, shortened
from proxy_image.control_plane.recurring_log import RecurringLog
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.proxyless.client_kind import ClientKind, read_client_kind
from proxy_image.control_plane.xds.proxyless.client_register import ClientRegister
from proxy_image.control_plane.xds.proxyless.client_resources import ClientResources
from proxy_image.control_plane.xds.resource_types import BY_URL, Audience, ResourceType
from proxy_image.control_plane.xds.snapshot import Resources, Snapshot
from proxy_image.control_plane.xds.subscriptions import Meaning, Request, Subscriptions

log = logging.getLogger(__name__)


class Observer(Protocol):
    """Who wants to know what happens on the streams. Types and audiences are few; nodes are not for metrics."""

    def stream_opened(self, audience: Audience) -> None: ...
    def stream_closed(self, audience: Audience, node: str) -> None: ...
    def response_sent(self, audience: Audience, resource_type: str) -> None: ...
    def rejected(self, audience: Audience, resource_type: str, node: str, error: str) -> None: ...
    def accepted(self, audience: Audience, resource_type: str, node: str) -> None: ...
    def in_use(self, generation: str) -> None:
        """Envoy has taken all of a generation."""


class Stream:
    def __init__(
        self,
        audience: Audience,
        cache: SnapshotCache,
        observer: Observer,
        context: Any,
        register: ClientRegister,
        client: Client | None = None,
    ) -> None:
        self._audience = audience
        self._cache = cache
        self._observer = observer
        self._context = context
        self._register = register
        self._client: Client = OwnEnvoy() if client is None else client
        self._node = ""
        self._kind = ClientKind()
        self._zone = ""
        self._wake = asyncio.Event()
        self._resources: tuple[Snapshot, Resources] | None = None
        self._in_use: Snapshot | None = None
        self._told: tuple[ClientResources, frozenset[str]] | None = None
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
            self._register.gone(self)
            log.info("xds stream closed", extra={"facts": facts})

    async def _serve(self, first: Any) -> None:
        self._receive(first)
        with self._cache.sets(self._wake):
            reading = self._next_request()
            try:
                while True:
                    if self._cache.snapshot is not None:
                        await self._bring(self._cache.snapshot)
                    await self._woken(self._remind())
                    if reading.done():
                        data = reading.result()
                        if data is grpc.aio.EOF:
                            return
                        async with self._client.turn():
                            request = read_request(data)
                            self._client.asked(request, len(self._unknown_types))
                            self._receive(request)
                        reading = self._next_request()
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError, grpc.aio.BaseError, grpc.aio.UsageError):
                    await reading

    def _next_request(self) -> asyncio.Future[Any]:
        reading = asyncio.ensure_future(self._read())
        reading.add_done_callback(lambda _: self._wake.set())
        return reading

    async def _read(self) -> Any:
        await self._client.may_read()
        return await self._context.read()

    async def _woken(self, seconds: float | None) -> None:
        """Wait for a request, a snapshot or, unless it is None, so long."""
        if seconds is None:
            await self._wake.wait()
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), seconds)
        self._wake.clear()

    async def _bring(self, snapshot: Snapshot) -> None:
        """One step towards this snapshot."""
        async with self._client.turn():
            if self._resources is None or self._resources[0] is not snapshot:
                self._resources = snapshot, snapshot.resources(self._audience, self._kind, self._zone)
            resources = self._resources[1]
            self._tell_subscriptions(snapshot)
            due = self._subscriptions.due(resources)
        for response in due:
            wire = response.wire
            await self._client.send(self._context.write(wire), len(wire))
            self._observer.response_sent(self._audience, response.type.value)
        is_envoy = self._audience is Audience.ENVOY
        if is_envoy and self._in_use is not snapshot and self._subscriptions.is_in_use(resources):
            self._observer.in_use(snapshot.generation)
            self._in_use = snapshot

    def _tell_subscriptions(self, snapshot: Snapshot) -> None:
        if self._audience is not Audience.GRPC or snapshot.clients is None:
            return
        clients, names = snapshot.clients, self._subscriptions.names(ResourceType.CLUSTER)
        if self._told is None or self._told[0] is not clients or self._told[1] != names:
            self._told = clients, names
            services, unfollowed = clients.called(self._kind, names)
            self._register.subscribed(self, self._kind, clients.known_zone(self._zone), services, unfollowed)

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
            self._rejected[request.type_url] = replace(request, names=()), reminder
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
