"""A client that asks and does not read, and one that does not even ask."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from grpc_lb_contract import Document
from proxy_image.control_plane.limits import per_xds_client
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType
from tests.hostile import http2
from tests.hostile.xds_clients import ADS, LDS, outcome, request
from tests.proxy_image.control_plane.ads_client import ads_client
from tests.proxy_image.control_plane.support import control_plane, eventually, logged, service, settings_for, target


async def test_a_client_that_reads_no_response_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(per_xds_client, "WRITE_SECONDS", 0.5)
    async with control_plane(settings_for(tmp_path)) as plane:
        clients = AdsService(plane.cache, plane.state, plane.state.clients)
        async with AdsServer(clients, "127.0.0.1:0") as server:
            await plane.serve(Document(tuple(service(f"service-{number}", target(1)) for number in range(500))))
            reading, writing = await asyncio.open_connection("127.0.0.1", server.port)
            # WHEN a client asks for everything and grants no window for the answer
            writing.write(http2.start(INITIAL_WINDOW_SIZE=0) + http2.call(1, ADS.encode()))
            writing.write(http2.message(1, request(LDS), flags=0))
            await eventually(lambda: plane.state.streams[Audience.GRPC] == 1)
            assert clients.streams.held > 100_000
            # THEN nothing of it is left
            await eventually(lambda: plane.state.streams[Audience.GRPC] == 0)
            assert (len(clients.streams), clients.streams.held) == (0, 0)
            (told,) = logged(caplog, "xds stream rejected")
            assert "must be read within 0.5 s" in told["error"]
            writing.close()
            await writing.wait_closed()
            del reading


async def test_a_client_that_reads_its_response_holds_nothing_of_it(tmp_path: Path) -> None:
    async with control_plane(settings_for(tmp_path)) as plane:
        clients = AdsService(plane.cache, plane.state, plane.state.clients)
        async with AdsServer(clients, "127.0.0.1:0") as server:
            await plane.serve(Document(tuple(service(f"service-{number}", target(1)) for number in range(500))))
            async with ads_client(plane.settings, "gRPC C-core", f"127.0.0.1:{server.port}") as client:
                await client.ask(ResourceType.LISTENER)
                response = await client.answer(ResourceType.LISTENER)
                assert response.ByteSize() > 100_000
                await eventually(lambda: clients.streams.held < 100_000)


async def test_a_stream_without_a_request_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_xds_client, "FIRST_REQUEST_SECONDS", 0.5)
    async with (
        control_plane(settings_for(tmp_path)) as plane,
        AdsServer(AdsService(plane.cache, plane.state, plane.state.clients), "127.0.0.1:0") as server,
    ):
        ended = await outcome(("127.0.0.1", server.port), seconds=60)
        assert ended == ("DEADLINE_EXCEEDED", "the first request must come within 0.5 s of the stream, got none")
