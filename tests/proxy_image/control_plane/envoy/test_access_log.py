"""The access log: what a real Envoy writes about real calls."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from grpc_lb_contract import Document, Route
from proxy_image.control_plane.xds.envoy.telemetry.access_log import FIELDS
from tests.proxy_image.control_plane.calls import channel_to, failure_of, reads, start
from tests.proxy_image.control_plane.support import (
    STAY,
    WHO,
    Envoy,
    backends,
    balancer,
    eventually,
    rng,
    service,
    who,
)

Line = dict[str, Any]


def lines(envoy: Envoy) -> list[Line]:
    """The whole lines that are there by now."""
    whole = envoy.log.read_text().rpartition("\n")[0].splitlines()
    found = [json.loads(line) for line in whole if line.startswith("{")]
    return [line for line in found if line["event"] == "call"]


async def logged(envoy: Envoy, count: int, which: Callable[[Line], bool] = lambda _line: True) -> list[Line]:
    await eventually(lambda: len([*filter(which, lines(envoy))]) >= count, f"{count} lines, have {lines(envoy)}")
    return [*filter(which, lines(envoy))]


async def test_a_line_says_who_called_what_where_it_went_and_how_it_ended(tmp_path: Path) -> None:
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(a.target), GRPC_LB_ACCESS_LOG="all") as (_, envoy),
        channel_to(envoy, "rng.test") as channel,
    ):
        secret = (("authorization", "Bearer hunter2"), ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f0-01"))
        started = time.monotonic()
        await who(channel, 1, metadata=secret)
        took_ms = 1000 * (time.monotonic() - started)
        (line,) = await logged(envoy, 1)
        assert line.keys() == FIELDS.keys()
        known = {"source", "event", "host", "method", "service", "target", "tries", "grpc_status", "flags", "details"}
        assert {name: line[name] for name in known} == {
            "source": "access",
            "event": "call",
            "host": "rng.test",
            "method": WHO,
            "service": "rng",
            "target": f"127.0.0.1:{a.port}",
            "tries": 1,
            "grpc_status": "OK",
            "flags": "-",
            "details": "via_upstream",
        }
        assert line["client"].startswith("127.0.0.1:")
        assert 0 <= line["first_byte_ms"] <= line["duration_ms"] <= took_ms
        assert (line["request_bytes"], line["response_bytes"]) == (5, 6)  # gRPC's prefix of a message is 5 bytes
        assert line["traceparent"] == secret[1][1]
        assert "hunter2" not in envoy.log.read_text()


async def test_failures_alone_are_logged_those_that_reached_a_target_and_those_that_did_not(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        document = Document(
            (service("empty", routes=(Route("empty.test"),)), service("rng", a.target, routes=(Route("rng.test"),)))
        )
        async with balancer(tmp_path, document, GRPC_LB_ACCESS_LOG="failures") as (_, envoy):
            await who_at(envoy, "rng.test", 20)
            a.abort = grpc.StatusCode.NOT_FOUND
            assert await failure_at(envoy, "rng.test") is grpc.StatusCode.NOT_FOUND
            assert await failure_at(envoy, "empty.test") is grpc.StatusCode.UNAVAILABLE
            assert await failure_at(envoy, "nobody.test") is grpc.StatusCode.UNIMPLEMENTED
            found = {line["host"]: line for line in await logged(envoy, 3)}
            assert {host: (line["grpc_status"], line["service"], line["flags"]) for host, line in found.items()} == {
                "rng.test": ("NOT_FOUND", "rng", "-"),
                "empty.test": ("UNAVAILABLE", "empty", "NoHealthyUpstream"),
                "nobody.test": ("UNIMPLEMENTED", None, "-"),
            }
            assert found["nobody.test"]["details"] == "direct_response"
            assert len(lines(envoy)) == 3


async def test_a_call_that_its_caller_gave_up_counts_as_a_failure_without_a_status(tmp_path: Path) -> None:
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(a.target), GRPC_LB_ACCESS_LOG="failures") as (_, envoy),
        envoy.channel() as channel,
    ):
        call = start(channel.unary_unary(STAY))
        await eventually(lambda: a.seen["stay"])
        call.cancel()
        (line,) = await logged(envoy, 1)
        assert (line["grpc_status"], line["flags"]) == (None, "DownstreamRemoteReset")
        assert line["target"] == f"127.0.0.1:{a.port}"


async def test_what_a_caller_chooses_is_escaped_and_cut_short(tmp_path: Path) -> None:
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(a.target), GRPC_LB_ACCESS_LOG="all") as (_, envoy),
        envoy.channel() as channel,
    ):
        hostile = '/"},{"event":"forged"}/' + "x" * 5000
        assert await start(channel.unary_unary(hostile), timeout=60).code() is grpc.StatusCode.UNIMPLEMENTED
        (line,) = await logged(envoy, 1)
        assert line["method"] == hostile[:255]
        assert max(map(len, envoy.log.read_text().splitlines())) < 4096


async def test_the_percentage_is_what_is_sampled(tmp_path: Path) -> None:
    """GIVEN 25 percent of 400 calls, THEN 57..143 are logged: 5 standard deviations of 8.7 around 100."""
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(a.target), GRPC_LB_ACCESS_LOG="sampled", GRPC_LB_ACCESS_LOG_PERCENT="25") as (_, envoy),
        envoy.channel() as channel,
    ):
        await asyncio.gather(*(who(channel, 20) for _ in range(20)))
        # Not before all is written: of too large a share, the first lines alone would pass.
        await eventually(lambda: reads(envoy.stat("filesystem.write_total_buffered"), 0), "all that it writes")
        assert 57 <= len(lines(envoy)) <= 143


async def who_at(envoy: Envoy, host: str, calls: int) -> None:
    async with channel_to(envoy, host) as channel:
        await who(channel, calls)


async def failure_at(envoy: Envoy, host: str) -> grpc.StatusCode:
    async with channel_to(envoy, host) as channel:
        return await failure_of(channel)
