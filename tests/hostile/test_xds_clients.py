"""xDS clients on the ADS port: what is too much is refused with a reason, and no one else notices."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from proxy_image.control_plane.limits.xds_requests import MAX_NAMES_PER_TYPE, MAX_UNKNOWN_TYPES
from tests.hostile import http2
from tests.hostile.stage import MIB, Stage, attack
from tests.hostile.xds_clients import CDS, EDS, XDS_ATTACKS, ads_channel, open_stream, outcome, request
from tests.proxy_image.control_plane.support import eventually
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

# A change is three looks of the control plane and Envoy's answers; a busy machine may take many times that.
MAX_TIMES_LATER = 20
FLOOR_SECONDS = 0.5
MAX_MEMORY = 128 * MIB
MAX_LOG = 1 * MIB
# Of HTTP/2, on a server that is not Envoy.
FLOODS = ("rapid reset", "ping", "settings", "empty continuation", "hpack bomb")


@pytest.mark.parametrize(
    ("messages", "code", "reason"),
    [
        ([request(node="x" * 3_900_000)], "RESOURCE_EXHAUSTED", "larger than max"),
        ([request(node="x" * 257)], "INVALID_ARGUMENT", "node.id must be at most 256 characters, got 257"),
        (
            [request(EDS, [f"{number}" for number in range(MAX_NAMES_PER_TYPE + 1)])],
            "RESOURCE_EXHAUSTED",
            "resource_names must be at most 1,000 of a type, got 1,001",
        ),
        ([request(CDS, response_nonce="x" * 257)], "INVALID_ARGUMENT", "response_nonce must be at most 256 characters"),
        ([request("x" * 257)], "INVALID_ARGUMENT", "type_url must be at most 256 characters, got 257"),
        (
            [request(f"type.googleapis.com/{number}") for number in range(MAX_UNKNOWN_TYPES + 2)],
            "INVALID_ARGUMENT",
            "at most 16 unknown types",
        ),
        ([b"\xff" * 100], "INVALID_ARGUMENT", "must be an envoy.service.discovery.v3.DiscoveryRequest"),
    ],
)
async def test_a_request_that_is_too_large_ends_its_stream_with_the_reason(
    on_stage: Stage, messages: list[bytes], code: str, reason: str
) -> None:
    ended, message = await outcome(on_stage.address("xds"), *messages)
    assert (ended, reason in message) == (code, True), message


async def test_as_many_names_as_are_allowed_are_served(on_stage: Stage) -> None:
    names = ["test", *(f"no-service-{number}" for number in range(MAX_NAMES_PER_TYPE - 1))]
    async with ads_channel(on_stage.address("xds")) as on:
        stream = open_stream(on)
        await stream.write(request(EDS, names))
        response = await asyncio.wait_for(stream.read(), PATIENCE_SECONDS)
        assert len(response.resources) == 1
        stream.cancel()


async def test_a_message_that_grows_when_it_is_unpacked_is_refused(on_stage: Stage) -> None:
    before = on_stage.control_plane_memory
    bomb = request(node="x" * 50_000_000)
    ended, _ = await outcome(on_stage.address("xds"), bomb, compression=grpc.Compression.Gzip)
    # INTERNAL is grpcio's own, where it still writes when the refusal comes.
    assert ended in ("UNIMPLEMENTED", "INTERNAL")
    assert on_stage.control_plane_memory - before < 10 * MIB


async def test_a_path_that_is_no_text_ends_neither_the_streams_of_others_nor_the_port(on_stage: Stage) -> None:
    """gRPC's server for Python closes its port at it, for good."""
    async with ads_channel(on_stage.address("xds")) as on:
        before = open_stream(on)
        await before.write(request(CDS))
        assert len((await asyncio.wait_for(before.read(), PATIENCE_SECONDS)).resources) == 3
        # WHEN someone sends such a path, and again
        for count in (1, 2):
            # The port is shut for a moment: the log tells before another server listens.
            _, writer = await eventually(lambda: asyncio.open_connection(*on_stage.address("xds")), "the port again")
            writer.write(http2.start() + http2.call(1, b"/\xff\xfe/x") + http2.message(1))
            await writer.drain()
            await on_stage.balancer.event("ads server starts again", count)
            writer.close()
        # THEN new clients are served, and streams that were there go on
        async with ads_channel(on_stage.address("xds")) as another:
            assert await eventually(lambda: _clusters_sent(another), "a new client's stream") == 3
        await before.write(request(EDS, ["test"]))
        assert len((await asyncio.wait_for(before.read(), PATIENCE_SECONDS)).resources) == 1
        before.cancel()


@pytest.mark.parametrize("changes", [3, pytest.param(10, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", [*XDS_ATTACKS, *FLOODS])
async def test_invariant_14_an_xds_client_delays_no_change_of_others_and_takes_a_bounded_share(
    on_stage: Stage, kind: str, changes: int
) -> None:
    """WHEN a client attacks THEN Envoy has each change on time, memory and log stay small, callers lose nothing."""
    usual = max([await on_stage.change() for _ in range(3)])
    memory, log_bytes = on_stage.control_plane_memory, on_stage.log_bytes
    async with attack(kind, on_stage.address("xds")) as did:
        during, calls = [], []
        for _ in range(changes):
            await asyncio.sleep(0.3)
            during.append(await on_stage.change())
            calls.append(await on_stage.honest_calls(10))
        most = on_stage.control_plane_memory
    assert did, "the attack did nothing"
    assert [failure for one in calls for failure in one.failures] == []
    assert max(during) < MAX_TIMES_LATER * max(usual, FLOOR_SECONDS), (usual, during, did)
    assert most - memory < MAX_MEMORY
    assert on_stage.log_bytes - log_bytes < MAX_LOG
    # AND whoever comes afterwards is served
    async with ads_channel(on_stage.address("xds")) as on:
        # gRPC's server cancels some streams at random while many of the attack's are not taken up; clients come again.
        assert await eventually(lambda: _clusters_sent(on), "a new client's stream") == 3


async def _clusters_sent(on: grpc.aio.Channel) -> int:
    """How many a new client is sent. Raises `AioRpcError` if its stream is cancelled."""
    stream = open_stream(on, wait_for_ready=True)
    try:
        await stream.write(request(CDS))
        return len((await asyncio.wait_for(stream.read(), PATIENCE_SECONDS)).resources)
    finally:
        stream.cancel()
