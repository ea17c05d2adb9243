"""A raw ADS client: it sends just what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.rpc import status_pb2  # type: ignore[import-untyped]  # no stubs for this one

from proxy_image.control_plane.xds.resource_types import ResourceType
from proxy_image.settings import Settings
from tests.waiting import PATIENCE_SECONDS


class AdsClient:
    """A raw ADS client: it sends just what the test says."""

    def __init__(self, channel: grpc.aio.Channel, user_agent: str) -> None:
        stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
        self._call = stub.StreamAggregatedResources()
        self._node: Any = base_pb2.Node(id="raw", user_agent_name=user_agent)

    async def ask(
        self, kind: ResourceType | str, *names: str, nonce: str = "", version: str = "", error: str | None = None
    ) -> None:
        detail = None if error is None else status_pb2.Status(code=3, message=error)
        await self._call.write(
            discovery_pb2.DiscoveryRequest(
                node=self._node,
                type_url=kind.url if isinstance(kind, ResourceType) else kind,
                resource_names=names,
                response_nonce=nonce,
                version_info=version,
                error_detail=detail,
            )
        )
        self._node = None

    async def ack(self, response: Any, *names: str) -> None:
        await self.ask(response.type_url, *names, nonce=response.nonce, version=response.version_info)

    async def answer(self, kind: ResourceType | None = None) -> Any:
        response = await asyncio.wait_for(self._call.read(), PATIENCE_SECONDS)
        assert kind is None or response.type_url == kind.url, response.type_url
        return response

    def close(self) -> None:
        self._call.cancel()


@asynccontextmanager
async def ads_client(
    settings: Settings, user_agent: str = "envoy", address: str | None = None
) -> AsyncIterator[AdsClient]:
    """By default on Envoy's unix socket."""
    async with grpc.aio.insecure_channel(
        address or f"unix:{settings.ads_socket}", options=[("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        client = AdsClient(channel, user_agent)
        try:
            yield client
        finally:
            client.close()
