"""CSDS: a client tells whoever asks which configuration it has, as `grpcdebug HOST:PORT xds status` shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.admin.v3 import config_dump_shared_pb2
from envoy.service.status.v3 import csds_pb2

from grpc_lb_contract import Document
from grpc_lb_contract.proxyless import bootstrap
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from tests.ports import free_ports
from tests.proxy_image.control_plane.support import backends, control_plane, eventually, rng, settings_for
from tests.proxy_image.control_plane.xds.proxyless.harness import LANGUAGES, XdsClient, client_process, parsed
from tests.waiting import PATIENCE_SECONDS

FETCH = "/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus"


async def status(address: str) -> Any:
    async with grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        fetch: Any = channel.unary_unary(
            FETCH,
            request_serializer=csds_pb2.ClientStatusRequest.SerializeToString,
            response_deserializer=csds_pb2.ClientStatusResponse.FromString,
        )
        (config,) = (await fetch(csds_pb2.ClientStatusRequest(), timeout=PATIENCE_SECONDS, wait_for_ready=True)).config
    return config


@asynccontextmanager
async def told_client(language: str, tmp_path: Path, document: Document) -> AsyncIterator[tuple[XdsClient, str]]:
    (admin,) = free_ports(1)
    async with (
        control_plane(settings_for(tmp_path)) as plane,
        AdsServer(AdsService(plane.cache, plane.state, plane.state.clients), "127.0.0.1:0") as server,
    ):
        await plane.serve(document)
        config = parsed(bootstrap([f"127.0.0.1:{server.port}"], "the client"))
        async with client_process(language, "rng", config, ADMIN=f"127.0.0.1:{admin}") as client:
            yield client, f"127.0.0.1:{admin}"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_client_tells_by_csds_that_it_has_taken_all_that_it_was_sent(language: str, tmp_path: Path) -> None:
    async with backends("a") as (a,), told_client(language, tmp_path, rng(a.target)) as (client, admin):
        assert await client.who(3) == {"a": 3}

        expected = dict.fromkeys(("Listener", "RouteConfiguration", "Cluster", "ClusterLoadAssignment"), "ACKED")

        async def tells_all() -> bool:
            config = await status(admin)
            assert config.node.id == "the client"
            return expected == {
                each.type_url.rpartition(".")[2]: config_dump_shared_pb2.ClientResourceStatus.Name(each.client_status)
                for each in config.generic_xds_configs
                if each.name == "rng"
            }

        await eventually(tells_all, f"{language} tells {expected}")
