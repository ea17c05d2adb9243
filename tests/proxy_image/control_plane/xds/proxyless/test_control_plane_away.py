"""Control planes that are killed, replaced or away: clients go on calling the tasks."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from grpc_lb_contract.proxyless import bootstrap
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from tests.ports import free_ports
from tests.proxy_image.control_plane.support import backends, control_plane, rng, settings_for
from tests.proxy_image.control_plane.xds.proxyless.harness import LANGUAGES, client_process, parsed

languages = pytest.mark.parametrize("language", LANGUAGES)


@languages
async def test_no_call_fails_while_the_control_plane_is_away_and_when_another_takes_its_place(
    language: str, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    config = parsed(bootstrap([f"127.0.0.1:{port}"], "test"))
    async with (
        backends("a", "b", "c") as (a, b, c),
        control_plane(settings_for(tmp_path)) as plane,
        client_process(language, "rng", config) as client,
    ):
        await plane.serve(rng(a.target, b.target))
        service, address = AdsService(plane.cache, plane.state), f"127.0.0.1:{port}"
        async with AsyncExitStack() as stack:
            async with AdsServer(service, address):
                await client.sees(20, {"a": 10, "b": 10})
                codes = await stack.enter_async_context(client.calling())
            # Away: the client goes on with what it had, and a change does not reach it.
            await plane.serve(rng(b.target, c.target))
            assert set(await client.who(500)) == {"a", "b"}
            await stack.enter_async_context(AdsServer(service, address))
            await client.sees(20, {"b": 10, "c": 10})
        assert set(codes) == {"OK"}


async def test_a_new_client_uses_the_fallback_while_the_first_control_plane_is_away(tmp_path: Path) -> None:
    """gRFC A71, which Python knows since 1.67 and Node does not."""
    (nowhere,) = free_ports(1)
    async with (
        backends("a") as (a,),
        control_plane(settings_for(tmp_path)) as plane,
        AdsServer(AdsService(plane.cache, plane.state), "127.0.0.1:0") as server,
    ):
        await plane.serve(rng(a.target))
        config = parsed(bootstrap([f"127.0.0.1:{nowhere}", f"127.0.0.1:{server.port}"], "test"))
        async with client_process("Python", "rng", config) as client:
            assert await client.who(10) == {"a": 10}
