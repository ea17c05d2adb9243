"""Clients that call the tasks directly follow the targets: drained, scaled, killed, under load."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from grpc_lb_contract import Document, Route, Tls, TlsVerify, TrafficPolicy
from proxy_image.control_plane.xds.resource_types import Audience
from tests.proxy_image.control_plane.certificates import authority
from tests.proxy_image.control_plane.policies import treated
from tests.proxy_image.control_plane.support import STAY, backends, eventually, rng, service, target
from tests.proxy_image.control_plane.xds.proxyless.conftest import OpenClient
from tests.proxy_image.control_plane.xds.proxyless.harness import LANGUAGES, xds_client

languages = pytest.mark.parametrize("language", LANGUAGES)


@languages
async def test_a_client_balances_its_calls_and_follows_the_targets(open_client: OpenClient) -> None:
    async with backends("a", "b", "c") as (a, b, c), open_client() as (client, plane):
        await plane.serve(rng(target(a.port), target(b.port)))
        await client.sees(100, {"a": 50, "b": 50})
        await plane.serve(rng(target(a.port, draining=True), target(c.port)))
        await client.sees(10, {"c": 10})
        assert plane.state.streams[Audience.GRPC] == 1


@languages
async def test_a_task_that_drains_finishes_its_calls_and_gets_no_new_one(open_client: OpenClient) -> None:
    async with backends("a", "b") as (a, b), open_client() as (client, plane):
        await plane.serve(rng(a.target))
        staying = asyncio.create_task(client.calls(1, method=STAY))
        await eventually(lambda: a.seen["stay"] == 1)
        await plane.serve(rng(target(a.port, draining=True), b.target))
        await asyncio.sleep(0.5)
        a.release.set()
        assert (await staying).answers == {"a": 1}
        await client.sees(10, {"b": 10})


@languages
async def test_no_call_fails_while_targets_come_drain_and_go(open_client: OpenClient) -> None:
    async with backends("a", "b", "c") as (a, b, c), open_client() as (client, plane):
        await plane.serve(rng(a.target))
        async with client.calling() as codes:
            for servers in ((a, b), (b,), (b, c), (a, c), (a, b, c), (c,), (a, b)) * 2:
                left_out = [target(each.port, draining=True) for each in (a, b, c) if each not in servers]
                await plane.serve(rng(*(each.target for each in servers), *left_out))
                await asyncio.sleep(0.1)
        assert set(codes) == {"OK"}


@languages
async def test_a_client_of_a_service_that_comes_later_is_served_then(open_client: OpenClient) -> None:
    async with backends("a", "b") as (a, b), open_client() as (client, plane):
        await plane.serve(Document((service("other", target(b.port), routes=[Route("other.test")]),)))
        await client.calls(1, wait_for_ready=False)
        await plane.serve(rng(target(a.port)))
        await client.sees(5, {"a": 5}, wait_for_ready=False)


async def test_a_client_goes_by_tls_where_its_channel_does(tmp_path: Path) -> None:
    """The labels about TLS are the balancer's: what they say does not reach it, and is nothing that it would reject."""
    ca = authority()
    cas = ca.write(tmp_path / "cas.pem")
    policy = TrafficPolicy(tls=Tls(enabled=True, server_name="other.test", verify=TlsVerify.SYSTEM))
    async with (
        backends("a", credentials=ca.signs("rng").credentials) as (a,),
        xds_client("Python", tmp_path) as (client, plane),
    ):
        await plane.serve(treated(policy, a.target))
        assert await client.who(10, cas=str(cas)) == {"a": 10}
