"""Calls that are unusual but allowed are taken; those that no server has a method for are refused with a reason."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from grpc_lb_contract import Document, Route
from tests.proxy_image.control_plane.support import balancer, eventually, service, target
from tests.transparency.balanced import balanced
from tests.transparency.neighbours import bystander
from tests.transparency.peers import grpc_aio, raw_h2
from tests.transparency.peers.raw_h2 import Stream, request
from tests.transparency.peers.script import METHOD, Call

HOST = "orders.internal"
ENDS = Call([], [["read-all"], ["end", 5, "gone", [("t", "1")]]])
UNIMPLEMENTED = "12"
# https://www.rfc-editor.org/rfc/rfc9113.html#section-7
PROTOCOL_ERROR = 1
PATIENCE_SECONDS = 60


async def answer(on: raw_h2.Connection, **how: str) -> Stream:
    stream = on.new_stream()
    on.send_headers(stream, request(ENDS.sent, **how), end=True)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (stream.is_over or on.is_over):
            stream.changed.clear()
            await stream.changed.wait()
    assert not on.is_over
    return stream


def seen(stream: Stream) -> dict[str, str]:
    (headers,) = stream.headers
    return {key: value for key, value in headers if key != "date"}


@pytest.mark.parametrize(
    "how",
    [
        {"authority": HOST},
        {"authority": f"{HOST}."},
        {"authority": f"{HOST}.:50051"},
        {"authority": HOST.upper()},
        {"authority": HOST, "content-type": "application/grpc;charset=utf-8"},
        {"authority": HOST, "content-type": "application/grpc+proto; charset=utf-8"},
        {"authority": HOST, "content-type": "application/grpc+proto"},
    ],
    ids=lambda how: " ".join(how.values()),
)
async def test_a_dot_after_the_host_and_parameters_of_the_content_type_change_nothing(
    tmp_path: Path, how: dict[str, str]
) -> None:
    async with raw_h2.server() as server:
        document = Document((service("rng", target(server.port), routes=(Route(host=HOST),)),))
        async with balancer(tmp_path, document) as (_, envoy):
            await envoy.has(server.port)
            async with raw_h2.connected(server.port) as direct, raw_h2.connected(envoy.settings.port) as through:
                assert seen(await answer(direct, **how)) == seen(await answer(through, **how))


async def test_a_path_with_a_fragment_is_refused_with_the_reason_and_one_with_a_space_alone(tmp_path: Path) -> None:
    async with (
        grpc_aio.server() as port,
        balanced(tmp_path, port) as ways,
        grpc_aio.channel(ways.balanced) as neighbour,
        raw_h2.connected(ways.balanced) as odd,
        bystander(neighbour),
    ):
        # A server has no method of that name.
        fragment = seen(await answer(odd, path=f"{METHOD}#1"))
        assert fragment["grpc-status"] == UNIMPLEMENTED
        assert "# in it" in fragment["grpc-message"]
        for path in (f"{METHOD} 1", "/a b/Call"):
            refused = await answer(odd, path=path)
            assert (refused.headers, refused.reset) == ([], PROTOCOL_ERROR)
        # The connection goes on.
        assert seen(await answer(odd))["grpc-status"] == "5"


async def test_the_access_log_names_who_opened_the_connection_whatever_the_caller_claims(tmp_path: Path) -> None:
    claims: dict[str, Any] = {
        "x-forwarded-for": "1.2.3.4",
        "x-real-ip": "1.2.3.4",
        "x-envoy-external-address": "1.2.3.4",
    }
    async with (
        grpc_aio.server() as port,
        balanced(tmp_path, port, GRPC_LB_ACCESS_LOG="all") as ways,
        raw_h2.connected(ways.balanced) as caller,
    ):
        await answer(caller, **claims)
        address, its_port = caller.writer.get_extra_info("sockname")

        def clients() -> list[str]:
            lines = ways.envoy.log.read_text().rpartition("\n")[0].splitlines()
            return [json.loads(line)["client"] for line in lines if line.startswith("{") and '"event":"call"' in line]

        await eventually(clients, "a line of the access log")
        assert clients() == [f"{address}:{its_port}"]


BIG = [(f"k{number}", 60_000) for number in range(25)]
MANY = [(f"k{number}", 1) for number in range(2_500)]
READ: Any = [["half-close"], ["read-all"]]
UNAVAILABLE, INTERNAL = 14, 13


@pytest.mark.parametrize("metadata", [BIG, MANY], ids=["too much", "too many"])
@pytest.mark.parametrize(
    ("sent", "steps", "status"),
    [
        (True, [["read-all"]], INTERNAL),
        (False, [["initial", None], ["send", 1, 1]], UNAVAILABLE),
        (False, [["send", 1, 1], ["end", 0, "", None]], INTERNAL),
        (False, [["end", 5, "gone", None]], UNAVAILABLE),
    ],
    ids=["sent", "initial", "trailing", "trailers only"],
)
async def test_more_metadata_than_the_limit_ends_that_call_alone(
    tmp_path: Path, metadata: list[tuple[str, int]], sent: bool, steps: Any, status: int
) -> None:
    answered = [[metadata if argument is None else argument for argument in step] for step in steps]
    call = Call(READ, answered, metadata if sent else ())
    async with (
        grpc_aio.server() as port,
        balanced(tmp_path, port) as ways,
        grpc_aio.channel(ways.balanced) as channel,
        bystander(channel),
    ):
        # On the connections of the bystander, to caller and server.
        outcomes = await asyncio.gather(*(grpc_aio.outcome(call, channel) for _ in range(5)))
        assert {outcome.status for outcome in outcomes} == {status}


async def test_the_limits_of_metadata_are_settings(tmp_path: Path) -> None:
    def sent(entries: int, length: int) -> Call:
        return Call(READ, [["read-all"]], [(f"k{number}", length) for number in range(entries)])

    def answered(entries: int, length: int) -> Call:
        return Call(READ, [["end", 0, "", [(f"k{number}", length) for number in range(entries)]]])

    async with (
        grpc_aio.server() as port,
        balanced(tmp_path, port, GRPC_LB_METADATA_KIB="16", GRPC_LB_METADATA_ENTRIES="50") as ways,
        raw_h2.connected(ways.balanced) as caller,
        grpc_aio.channel(ways.balanced) as neighbour,
        bystander(neighbour),
    ):
        for call, is_taken in [
            (sent(30, 300), True),
            (sent(3, 7_000), False),
            (sent(60, 1), False),
            (answered(30, 300), True),
            (answered(3, 7_000), False),
            (answered(60, 1), False),
        ]:
            assert ((await raw_h2.outcome(call, caller)).status == 0) is is_taken, call
        # Peers are told, and the connection is as it was.
        assert caller.h2.remote_settings.max_header_list_size == 16 * 2**10
        assert not caller.is_over
