"""`xds:///NAME`: a gRPC client without a proxy, against our ADS server over TCP."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from grpc_lb_contract import Document, Route, Tls, TlsVerify, TrafficPolicy
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from proxy_image.control_plane.xds.resource_types import Audience
from tests.proxy_image.control_plane.certificates import authority
from tests.proxy_image.control_plane.policies import treated
from tests.proxy_image.control_plane.support import (
    WHO,
    ControlPlane,
    backends,
    control_plane,
    eventually,
    rng,
    service,
    settings_for,
    target,
)
from tests.waiting import PATIENCE_SECONDS


class GrpcClient:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def calls(self, count: int) -> dict[str, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n".encode())
        answers: dict[str, int] = json.loads(await asyncio.wait_for(self._process.stdout.readline(), PATIENCE_SECONDS))
        return answers


@asynccontextmanager
async def grpc_client(name: str, tmp_path: Path, *more: str) -> AsyncIterator[tuple[GrpcClient, ControlPlane]]:
    async with (
        control_plane(settings_for(tmp_path)) as plane,
        AdsServer(AdsService(plane.cache, plane.metrics), "127.0.0.1:0") as server,
    ):
        bootstrap: dict[str, Any] = {
            "xds_servers": [
                {
                    "server_uri": f"127.0.0.1:{server.port}",
                    "channel_creds": [{"type": "insecure"}],
                    "server_features": ["xds_v3"],
                }
            ],
            "node": {"id": "test"},
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.proxy_image.control_plane.grpc_client",
            f"xds:///{name}",
            WHO,
            *more,
            env={**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield GrpcClient(process), plane
        finally:
            process.kill()
            await process.wait()


async def test_a_grpc_client_balances_its_calls_and_follows_the_targets(tmp_path: Path) -> None:
    async with backends("a", "b", "c") as (a, b, c), grpc_client("rng", tmp_path) as (client, plane):
        await plane.serve(rng(target(a.port), target(b.port)))
        await client.calls(10)  # until both are connected
        assert await client.calls(100) == {"a": 50, "b": 50}
        await plane.serve(rng(target(a.port, draining=True), target(c.port)))

        async def follows() -> bool:
            return await client.calls(10) == {"c": 10}

        await eventually(follows)
        assert plane.metrics.streams[Audience.GRPC] == 1
        for kind in ("CDS", "EDS", "LDS", "RDS"):
            labels = {"audience": "grpc", "type": kind}
            assert plane.metrics.registry.get_sample_value("grpc_lb_xds_rejections_total", labels) == 0


async def test_a_grpc_client_uses_the_targets_of_all_zones(tmp_path: Path) -> None:
    async with backends("a", "b", "c") as (a, b, c), grpc_client("rng", tmp_path) as (client, plane):
        await plane.serve(rng(target(a.port, zone="x"), target(b.port, zone="x"), target(c.port, zone="y")))
        answers = await client.calls(300)
        assert set(answers) == {"a", "b", "c"}
        assert 50 < answers["c"] < 150, "zones are chosen at random by weight"


async def test_a_grpc_client_of_a_service_that_comes_later_is_served_then(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b), grpc_client("rng", tmp_path) as (client, plane):
        await plane.serve(Document((service("other", target(b.port), routes=[Route("other.test")]),)))
        calling = asyncio.create_task(client.calls(5))
        await eventually(lambda: plane.metrics.streams[Audience.GRPC] == 1)
        await plane.serve(rng(target(a.port)))
        assert (await calling).get("a", 0) > 0 or await client.calls(1) == {"a": 1}


async def test_a_grpc_client_goes_by_tls_where_its_channel_does(tmp_path: Path) -> None:
    """The labels about TLS are the balancer's: what they say does not reach it, and is nothing that it would reject."""
    ca = authority()
    cas = ca.write(tmp_path / "cas.pem")
    policy = TrafficPolicy(tls=Tls(enabled=True, server_name="other.test", verify=TlsVerify.SYSTEM))
    async with (
        backends("a", credentials=ca.signs("rng").credentials) as (a,),
        grpc_client("rng", tmp_path, str(cas)) as (client, plane),
    ):
        await plane.serve(treated(policy, a.target))
        assert await client.calls(10) == {"a": 10}
