"""Calls by status, service and method: what a real Envoy counts of real calls, whatever callers and servers make up."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from prometheus_client import Metric

from grpc_lb_contract import Document, Route
from proxy_image.control_plane.stats.call_stats import Ended
from proxy_image.control_plane.stats.envoy_stats import Reading, ServiceCounts
from proxy_image.control_plane.stats.histogram import Histogram, percentiles
from proxy_image.control_plane.stats.watcher import EnvoyStatistics
from proxy_image.control_plane.stats.window import service_window
from proxy_image.control_plane.xds.envoy.listeners import ConnectionTimes, Ports, listeners
from proxy_image.control_plane.xds.envoy.telemetry.call_statistics import MAX_OF_METHODS
from proxy_image.envoy.shared_values import CALLS_STATISTICS, METHODS_STATISTICS
from tests.proxy_image.control_plane.calls import channel_to, failure_of, reads, start
from tests.proxy_image.control_plane.envoy.test_access_log import logged as logged_calls
from tests.proxy_image.control_plane.grpc_web import ALLOWED, client, post, web_and_plain
from tests.proxy_image.control_plane.metrics.test_target_metrics import scrape_with_calls
from tests.proxy_image.control_plane.policies import codes
from tests.proxy_image.control_plane.support import (
    STAY,
    STREAM,
    WHO,
    Envoy,
    backends,
    balancer,
    eventually,
    rng,
    running_envoy,
    service,
    settings_for,
    target,
    who,
)
from tests.proxy_image.control_plane.test_process import file_settings, running, targets_file


async def reading_of(envoy: Envoy) -> Reading:
    return await asyncio.to_thread(EnvoyStatistics(envoy.settings.admin_socket).reading)


async def statuses_of(envoy: Envoy, name: str = "rng") -> dict[str, int]:
    return dict((await reading_of(envoy)).services[name].ended.statuses)


async def test_calls_are_counted_by_service_and_status_wherever_they_ended(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        document = Document(
            (service("empty", routes=(Route("empty.test"),)), service("rng", a.target, routes=(Route("rng.test"),)))
        )
        async with (
            balancer(tmp_path, document) as (_, envoy),
            channel_to(envoy, "rng.test") as known,
            channel_to(envoy, "empty.test") as empty,
            channel_to(envoy, "nobody.test") as nobody,
        ):
            started = time.monotonic()
            await who(known, 20)
            a.abort = grpc.StatusCode.NOT_FOUND
            await codes(known, 3)
            assert await failure_of(empty) is grpc.StatusCode.UNAVAILABLE
            assert await failure_of(nobody) is grpc.StatusCode.UNIMPLEMENTED
            given_up = start(known.unary_unary(STAY))
            await eventually(lambda: a.seen["stay"])
            given_up.cancel()

            async def counted() -> bool:
                return sum((await statuses_of(envoy)).values()) == 24

            await eventually(counted, "24 calls")
            reading = await reading_of(envoy)
            assert dict(reading.services["rng"].ended.statuses) == {"OK": 20, "NOT_FOUND": 3, "CANCELLED": 1}
            assert dict(reading.services["empty"].ended.statuses) == {"UNAVAILABLE": 1}
            assert dict(reading.unrouted.statuses) == {"UNIMPLEMENTED": 1}
            p50, _, p99 = percentiles(reading.services["rng"].ended.latency)
            assert p50 is not None
            assert p99 is not None
            assert 0 < p50 <= p99 <= 1.1 * 1000 * (time.monotonic() - started)
            assert sum(reading.services["rng"].ended.latency.buckets.values()) == 24
            assert reading.services["rng"].methods == {}


# gRPC's own servers answer UNKNOWN in the place of a status that there is none of.
MADE_UP = """
let status = 40;
const server = require("node:http2").createServer();
server.on("stream", (stream) => {
  const answer = { ":status": 200, "content-type": "application/grpc", "grpc-status": String(status++) };
  stream.respond(answer, { endStream: true });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume();
"""


@asynccontextmanager
async def server_of_made_up_statuses() -> AsyncIterator[int]:
    node = Path(sys.executable).parent / "node"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(str(node), "-e", MADE_UP, stdin=pipe, stdout=pipe)
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline())
    finally:
        await process.communicate(b"")


async def test_statuses_that_grpc_does_not_know_are_one_series(tmp_path: Path) -> None:
    async with (
        server_of_made_up_statuses() as port,
        balancer(tmp_path, rng(target(port))) as (_, envoy),
        envoy.channel() as channel,
    ):
        await codes(channel, 20)
        assert await statuses_of(envoy) == {"OTHER": 20}


@pytest.mark.parametrize("http2", [False, True])
async def test_calls_of_browsers_are_counted_and_logged_by_their_status(tmp_path: Path, http2: bool) -> None:
    async with (
        backends("a", "plain") as (a, plain),
        balancer(tmp_path, web_and_plain(a, plain), GRPC_LB_ACCESS_LOG="failures") as (_, envoy),
        client(envoy, http2=http2) as browser,
    ):
        await post(browser, WHO, origin=ALLOWED, **{"x-grpc-web": "1"})
        a.abort = grpc.StatusCode.ABORTED
        await post(browser, WHO, origin=ALLOWED, **{"x-grpc-web": "1"})
        assert await statuses_of(envoy, "all") == {"OK": 1, "ABORTED": 1}
        assert [line["grpc_status"] for line in await logged_calls(envoy, 1)] == ["ABORTED"]


async def test_a_browser_that_makes_up_methods_makes_no_statistics_of_them(tmp_path: Path) -> None:
    async with (
        backends("a", "plain") as (a, plain),
        balancer(tmp_path, web_and_plain(a, plain)) as (_, envoy),
        client(envoy) as browser,
    ):
        for number in range(5):
            await post(browser, f"/made.Up/Method{number}", origin=ALLOWED)
        assert "made" not in (await envoy.admin("/stats")).text


async def test_a_stream_that_its_caller_gave_up_is_cancelled_and_one_that_its_server_cut_unknown(
    tmp_path: Path,
) -> None:
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(a.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        given_up, cut = [start(channel.unary_stream(STREAM)) for _ in range(2)]
        assert [await given_up.read(), await cut.read()] == [b"a", b"a"]
        given_up.cancel()

        async def counted(**expected: int) -> bool:
            return await statuses_of(envoy) == expected

        await eventually(lambda: counted(CANCELLED=1))
        a.abort = grpc.StatusCode.UNKNOWN
        assert await failure_of(channel) is grpc.StatusCode.UNKNOWN
        await eventually(lambda: counted(CANCELLED=1, UNKNOWN=1))
        await a.server.stop(0)
        await eventually(cut.done)
        await eventually(lambda: reads(total(envoy), 3))


async def total(envoy: Envoy) -> int:
    return sum((await statuses_of(envoy)).values())


async def test_methods_are_counted_each_where_that_is_asked_for(tmp_path: Path) -> None:
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(a.target), GRPC_LB_CALL_STATISTICS="methods") as (_, envoy),
        envoy.channel() as channel,
    ):
        await who(channel, 12)
        assert await start(channel.unary_unary("/a.b.C.status.7/x"), timeout=60).code() is grpc.StatusCode.UNIMPLEMENTED
        await reading_of(envoy)  # Envoy gathers times when it is asked, and has them when it is asked again
        methods = (await reading_of(envoy)).services["rng"].methods
        assert {name: dict(ended.statuses) for name, ended in methods.items()} == {
            "test.Test/Who": {"OK": 12},
            "a.b.C.status.7/x": {"UNIMPLEMENTED": 1},
        }
        assert sum(methods["test.Test/Who"].latency.buckets.values()) == 12


async def test_a_client_that_makes_up_methods_fills_a_table_of_fixed_size_and_nothing_else(tmp_path: Path) -> None:
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(a.target), GRPC_LB_CALL_STATISTICS="methods") as (_, envoy),
        envoy.channel() as channel,
    ):
        await who(channel, 5)
        made_up = MAX_OF_METHODS + 300
        for first in range(0, made_up, 100):
            calls = [start(channel.unary_unary(f"/x.X/M{number}"), timeout=60) for number in range(first, first + 100)]
            await asyncio.gather(*(call.code() for call in calls))
        await who(channel, 5)
        rng_service = (await reading_of(envoy)).services["rng"]
        assert dict(rng_service.ended.statuses) == {"OK": 10, "UNIMPLEMENTED": made_up}
        assert len(rng_service.methods) <= MAX_OF_METHODS
        assert dict(rng_service.methods["test.Test/Who"].statuses) == {"OK": 10}


async def test_off_nothing_is_counted(tmp_path: Path) -> None:
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(a.target), GRPC_LB_CALL_STATISTICS="off") as (_, envoy),
        envoy.channel() as channel,
    ):
        await who(channel, 5)
        assert await statuses_of(envoy) == {}
        stats = (await envoy.admin("/stats")).text
        assert not [line for line in stats.splitlines() if line.startswith((CALLS_STATISTICS, METHODS_STATISTICS))]


def test_with_all_off_the_listener_has_nothing_of_it(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, GRPC_LB_CALL_STATISTICS="off")
    calls, _ = listeners(Ports("127.0.0.1", 1, 2), ConnectionTimes(), settings.telemetry)
    for chain in calls.filter_chains:
        manager = http_connection_manager_pb2.HttpConnectionManager()
        assert chain.filters[0].typed_config.Unpack(manager)
        present = {field.name for field, _ in manager.ListFields()}
        assert not present & {"access_log", "access_log_options", "tracing", "request_id_extension"}


def test_a_window_has_what_ended_in_it(tmp_path: Path) -> None:
    def counted(**statuses: int) -> Reading:
        ended = Ended(statuses, Histogram({(1.0, 1.0): statuses["OK"]}))
        return Reading(0.0, {"rng": ServiceCounts({}, ended=ended, methods={"a/B": ended})})

    window = service_window("rng", counted(OK=5, ABORTED=1), counted(OK=15, ABORTED=1, NOT_FOUND=2))
    for ended in (window.ended, window.methods["a/B"]):
        assert ended.statuses == {"OK": 10, "NOT_FOUND": 2}
        assert ended.percentiles == (1.5, 1.95, 1.99)


def samples(family: Metric, name: str, **labels: str) -> list[float]:
    return [one.value for one in family.samples if one.name == name and labels.items() <= one.labels.items()]


async def test_metrics_of_calls_are_what_the_clients_counted_under_load(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        settings = file_settings(tmp_path, targets_file(tmp_path, a, b), GRPC_LB_CALL_STATISTICS="methods")
        async with running(settings) as control, running_envoy(settings, concurrency=2) as envoy:
            await envoy.ready()
            await eventually(control.health)
            b.abort = grpc.StatusCode.ABORTED
            channels = [envoy.channel() for _ in range(4)]
            started = time.monotonic()
            load = [asyncio.create_task(codes(channel, 100)) for channel in channels for _ in range(2)]
            while not all(task.done() for task in load):
                before = await scrape_with_calls(control)
                if "grpc_lb_calls" in before:
                    assert sum(samples(before["grpc_lb_calls"], "grpc_lb_calls_total")) <= 800
                await asyncio.sleep(0.05)
            counted: Counter[Any] = sum((task.result() for task in load), Counter())
            took = time.monotonic() - started
            # Envoy gathers times when it is asked, and has them when it is asked again.
            await scrape_with_calls(control)
            after = await scrape_with_calls(control)
            for family, labels in (("grpc_lb_calls", {}), ("grpc_lb_method_calls", {"method": WHO.removeprefix("/")})):
                found = {
                    one.labels["grpc_status"]: one.value
                    for one in after[family].samples
                    if labels.items() <= one.labels.items()
                }
                assert found == {code.name: count for code, count in counted.items()}
            assert counted.total() == 800
            times = after["grpc_lb_call_duration_seconds"]
            buckets = samples(times, "grpc_lb_call_duration_seconds_bucket", service="rng")
            assert buckets == sorted(buckets)
            assert buckets[-1] == 800
            assert samples(times, "grpc_lb_call_duration_seconds_count") == [800]
            assert 0 < samples(times, "grpc_lb_call_duration_seconds_sum")[0] < 800 * took
            report = (await control.get("/api/services/rng")).json()
            assert report["statuses"] == {code.name: count for code, count in counted.items()}
            assert [method["method"] for method in report["methods"]] == ["test.Test/Who"]
            page = (await control.get("/services/rng")).text
            assert "ABORTED" in page
            assert "test.Test/Who" in page
            for channel in channels:
                await channel.close()
