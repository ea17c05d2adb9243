"""The ADS server on the wire: a raw client that says just what the test wants, and a real Envoy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from types import MappingProxyType

import grpc
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc

from grpc_lb_contract import Document
from proxy_image.control_plane import recurring_log
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType
from proxy_image.control_plane.xds.snapshot import Resource, Resources, Snapshot
from proxy_image.control_plane.xds.snapshot_maker import snapshot
from tests.proxy_image.control_plane.ads_client import ads_client
from tests.proxy_image.control_plane.support import (
    ControlPlane,
    backends,
    balancer,
    control_plane,
    eventually,
    logged,
    rng,
    running_envoy,
    service,
    settings_for,
    target,
    who,
)

CDS, EDS, LDS, RDS = ResourceType


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    async with control_plane(settings_for(tmp_path)) as started:
        yield started


def ports_of(response: object) -> list[int]:
    found = []
    for envelope in response.resources:  # type: ignore[attr-defined]  # xds-protos has no types
        assignment = endpoint_pb2.ClusterLoadAssignment()
        assert envelope.Unpack(assignment)
        for locality in assignment.endpoints:
            found += [host.endpoint.address.socket_address.port_value for host in locality.lb_endpoints]
    return found


async def test_a_stream_waits_for_the_first_document(plane: ControlPlane) -> None:
    async with ads_client(plane.settings) as client:
        await client.ask(CDS)
        await client.ask(EDS, "rng")
        await eventually(lambda: plane.state.streams[Audience.ENVOY] == 1)
        await plane.serve(rng(target(1)))
        assert len((await client.answer(CDS)).resources) == 1
        assert ports_of(await client.answer(EDS)) == [1]


async def test_a_new_document_reaches_the_stream_by_itself(plane: ControlPlane) -> None:
    await plane.serve(rng(target(1)))
    async with ads_client(plane.settings) as client:
        await client.ask(EDS, "rng")
        await client.ack(await client.answer(EDS), "rng")
        await plane.serve(rng(target(2)))
        assert ports_of(await client.answer(EDS)) == [2]


async def test_a_client_that_comes_back_with_its_old_version_gets_everything(plane: ControlPlane) -> None:
    await plane.serve(rng(target(1)))
    async with ads_client(plane.settings) as client:
        await client.ask(EDS, "rng")
        before = await client.answer(EDS)
    async with ads_client(plane.settings) as client:
        await client.ask(EDS, "rng", version=before.version_info)
        again = await client.answer(EDS)
        assert (again.version_info, ports_of(again)) == (before.version_info, [1])


async def test_an_unknown_type_is_refused_with_a_log_line_and_the_others_are_served(
    plane: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    await plane.serve(rng(target(1)))
    async with ads_client(plane.settings) as client:
        for _ in range(3):
            await client.ask("type.googleapis.com/envoy.extensions.Unknown", "x")
        await client.ask(CDS)
        await client.answer(CDS)
    assert [facts["type"] for facts in logged(caplog, "xds type rejected")] == [
        "type.googleapis.com/envoy.extensions.Unknown"
    ]


async def test_incremental_xds_is_refused_with_what_to_call_instead(plane: ControlPlane) -> None:
    async with grpc.aio.insecure_channel(f"unix:{plane.settings.ads_socket}") as channel:
        stream = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stream.read()
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "call StreamAggregatedResources" in (refused.value.details() or "")


@pytest.mark.parametrize(("on_unix", "on_tcp"), [("envoy", "gRPC C-core"), ("gRPC C-core", "envoy")])
async def test_each_audience_gets_its_own_resources_by_its_socket_whatever_it_says_of_itself(
    plane: ControlPlane, on_unix: str, on_tcp: str
) -> None:
    await plane.serve(rng(target(1)))
    async with (
        AdsServer(AdsService(plane.cache, plane.state, plane.state.clients), "127.0.0.1:0") as server,
        ads_client(plane.settings, on_unix) as envoy,
        ads_client(plane.settings, on_tcp, f"127.0.0.1:{server.port}") as grpc_client,
    ):
        await envoy.ask(LDS)
        await grpc_client.ask(LDS, "rng")
        ours = {envelope.type_url for envelope in (await envoy.answer(LDS)).resources}
        assert ours == {LDS.url}
        (listener,) = (await grpc_client.answer(LDS)).resources
        assert b"rng" in listener.value
        assert plane.state.streams == {Audience.ENVOY: 1, Audience.GRPC: 1}


async def test_a_stream_that_ends_leaves_no_task_behind(plane: ControlPlane) -> None:
    await plane.serve(rng(target(1)))
    async with ads_client(plane.settings) as client:
        await client.ask(CDS)
        await client.answer(CDS)
    await eventually(lambda: plane.state.streams[Audience.ENVOY] == 0)
    before = len(asyncio.all_tasks())
    for _ in range(10):
        async with ads_client(plane.settings) as client:
            await client.ask(CDS)
            await client.answer(CDS)
    await eventually(lambda: plane.state.streams[Audience.ENVOY] == 0)
    await eventually(lambda: len(asyncio.all_tasks()) <= before)


async def test_documents_that_come_faster_than_the_client_reads_are_skipped(plane: ControlPlane) -> None:
    await plane.serve(rng(target(1)))
    async with ads_client(plane.settings) as client:
        await client.ask(EDS, "rng")
        await client.answer(EDS)
        for port in range(2, 500):
            await plane.serve(rng(target(port)))
        answers = 0
        while ports_of(await client.answer(EDS)) != [499]:
            answers += 1
        assert answers < 498


def with_routes(document: Document, plane: ControlPlane, *domains: str) -> Snapshot:
    """The document's snapshot, but with routes that Envoy rejects where a domain comes twice."""
    made = snapshot(document, plane.ports)
    hosts = [
        route_components_pb2.VirtualHost(
            name=f"{number}",
            domains=[domain],
            routes=[
                route_components_pb2.Route(
                    match=route_components_pb2.RouteMatch(prefix="/"),
                    route=route_components_pb2.RouteAction(cluster="rng"),
                )
            ],
        )
        for number, domain in enumerate(domains)
    ]
    routes = Resource.of(route_pb2.RouteConfiguration(name="calls", virtual_hosts=hosts))
    envoy = Resources({**made.audiences[Audience.ENVOY].by_type, RDS: MappingProxyType({"calls": routes})})
    return Snapshot(f"{domains}", MappingProxyType({**made.audiences, Audience.ENVOY: envoy}))


async def test_invariant_10_a_rejected_resource_is_logged_and_counted_and_the_last_good_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target)) as (plane, envoy),
        envoy.channel() as channel,
    ):

        def count(metric: str) -> float:
            labels = {"audience": "envoy", "type": "RDS"}
            return plane.registry.get_sample_value(f"grpc_lb_xds_{metric}_total", labels) or 0

        await plane.cache.publish(with_routes(rng(a.target), plane, "*", "*"))
        await eventually(lambda: count("rejections") == 1)
        sent = count("responses")
        (facts,) = logged(caplog, "xds resource rejected")
        assert facts["type"] == "RDS"
        assert "domain" in facts["error"]
        assert await who(channel, 10) == {"a": 10}
        (rejection,) = plane.state.journal.rejections.values()
        assert (rejection.resource_type, rejection.error) == ("RDS", facts["error"])

        # Other types flow on, and the rejected one is not sent again while it is as it was.
        await plane.cache.publish(with_routes(rng(a.target, b.target), plane, "*", "*"))
        await envoy.has(a.port, b.port)
        assert await who(channel, 10) == {"a": 5, "b": 5}
        assert (count("rejections"), count("responses")) == (1, sent)

        await plane.cache.publish(with_routes(rng(a.target, b.target), plane, "elsewhere.test"))
        await eventually(lambda: count("responses") == sent + 1)

        async def is_taken() -> bool:
            return await envoy.stat("http.calls.rds.calls.config_reload") == 2

        await eventually(is_taken)
        assert count("rejections") == 1
        await eventually(lambda: not plane.state.journal.rejections, "the rejection is no problem any more")


async def test_a_rejection_is_said_again_while_it_lasts_and_counted_once(
    plane: ControlPlane, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that an alarm on the line does not clear itself while a client is held up."""
    monkeypatch.setattr(recurring_log, "AGAIN_SECONDS", 0.05)

    def said() -> int:
        return len(logged(caplog, "xds resource rejected"))

    await plane.serve(rng(target(1)))
    async with ads_client(plane.settings) as client:
        await client.ask(EDS, "rng")
        answer = await client.answer(EDS)
        await client.ask(EDS, "rng", nonce=answer.nonce, error="as the test wants")
        await eventually(lambda: said() > 3)
        assert {facts["error"] for facts in logged(caplog, "xds resource rejected")} == {"as the test wants"}
        labels = {"audience": "envoy", "type": "EDS"}
        assert plane.registry.get_sample_value("grpc_lb_xds_rejections_total", labels) == 1
        # WHEN the client takes a later answer, THEN the trouble is over
        await plane.serve(rng(target(2)))
        await client.ack(await client.answer(EDS), "rng")
        await client.ask(CDS)
        await client.answer(CDS)
        before = said()
        await asyncio.sleep(0.3)
        assert said() == before


async def test_invariant_10_a_rejected_cluster_does_not_take_the_others_along(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target)) as (plane, envoy),
        envoy.channel() as channel,
    ):
        made = snapshot(rng(a.target, b.target), plane.ports)
        bad = cluster_pb2.Cluster(name="bad", type=cluster_pb2.Cluster.EDS)  # without its eds_cluster_config
        by_type = made.audiences[Audience.ENVOY].by_type
        clusters = MappingProxyType({**by_type[CDS], "bad": Resource.of(bad)})
        audiences = {**made.audiences, Audience.ENVOY: Resources({**by_type, CDS: clusters})}
        await plane.cache.publish(Snapshot("bad", MappingProxyType(audiences)))
        await eventually(lambda: len(logged(caplog, "xds resource rejected")) == 1)
        await envoy.has(a.port, b.port)
        assert await who(channel, 10) == {"a": 5, "b": 5}
        await plane.serve(Document((service("rng", b.target),)))
        await envoy.has(b.port)
        assert await who(channel, 10) == {"b": 10}


async def test_invariant_6_envoy_serves_on_without_its_control_plane_and_follows_the_next_one(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with backends("a", "b") as (a, b), running_envoy(settings) as envoy, envoy.channel() as channel:
        async with control_plane(settings) as first:
            await first.serve(rng(a.target))
            await envoy.ready()
        assert await who(channel, 50) == {"a": 50}
        async with control_plane(settings) as second:
            await eventually(lambda: second.state.streams[Audience.ENVOY] == 1)
            assert await who(channel, 10) == {"a": 10}, "no document yet is no reason to forget the last one"
            await second.serve(rng(a.target, b.target))
            await envoy.has(a.port, b.port)
            assert await who(channel, 10) == {"a": 5, "b": 5}
