"""What is read of Envoy: pure functions, and a real Envoy's counts beside what clients saw."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import grpc
import pytest

from grpc_lb_contract.names import host_port
from proxy_image.control_plane.stats.admin_answers import UnreadableError, read
from proxy_image.control_plane.stats.envoy_stats import Reading, ServiceCounts, TargetCounts
from proxy_image.control_plane.stats.histogram import Histogram, difference, percentiles
from proxy_image.control_plane.stats.history.journal import Journal
from proxy_image.control_plane.stats.watcher import EnvoyStatistics, Watcher
from proxy_image.control_plane.stats.window import service_window, window_of
from tests.proxy_image.control_plane.calls import failure_of, start
from tests.proxy_image.control_plane.support import STAY, backends, balancer, eventually, rng, watcher_of, who

INFO = '{"state": "LIVE", "uptime_current_epoch": "7s"}'


def reading(
    at: float,
    calls: dict[str, int],
    *,
    retries: int = 0,
    failures: int = 0,
    no_target: int = 0,
    uptime: int | None = None,
) -> Reading:
    targets = {name: TargetCounts(calls=count, failures=failures) for name, count in calls.items()}
    return Reading(
        at,
        {"rng": ServiceCounts(targets, retries=retries, no_target=no_target)},
        uptime_seconds=round(at) if uptime is None else uptime,
    )


def test_a_share_is_of_the_calls_between_two_readings() -> None:
    window = service_window("rng", reading(0, {"a": 100, "b": 0}), reading(10, {"a": 110, "b": 30}))
    assert window.calls == 40
    assert [window.targets[name].share for name in "ab"] == [0.25, 0.75]


def test_without_calls_there_is_no_share() -> None:
    assert service_window("rng", reading(0, {"a": 7}), reading(1, {"a": 7})).targets["a"].share is None


def test_a_count_that_fell_began_anew() -> None:
    assert service_window("rng", reading(0, {"a": 1000}), reading(1, {"a": 3})).calls == 3


def test_a_target_that_is_new_counts_from_zero() -> None:
    assert service_window("rng", reading(0, {"a": 5}), reading(1, {"a": 5, "b": 2})).targets["b"].calls == 2


def test_a_failed_try_that_another_target_made_good_is_no_failure_to_clients() -> None:
    window = service_window("rng", reading(0, {"a": 0}), reading(1, {"a": 9}, failures=5, retries=4, no_target=2))
    assert (window.targets["a"].failures, window.failures) == (5, 3)


def test_the_window_reaches_back_ten_seconds_or_to_the_reading_before() -> None:
    readings = [reading(at, {}) for at in (0.0, 15.0, 16.0, 24.0)]
    assert [each.at for each in window_of(readings) or ()] == [15.0, 24.0]
    assert [each.at for each in window_of(readings[:2]) or ()] == [0.0, 15.0]
    assert window_of(readings[:1]) is None


def test_percentiles_are_those_of_the_difference() -> None:
    before = Histogram({(1.0, 0.1): 50})
    after = Histogram({(1.0, 0.1): 50, (10.0, 1.0): 98, (200.0, 10.0): 2})
    p50, p95, p99 = percentiles(difference(before, after))
    assert p50 == pytest.approx(10.5, abs=0.1)
    assert p95 == pytest.approx(10.97, abs=0.1)
    assert p99 == pytest.approx(205, abs=1)
    assert percentiles(Histogram({})) == (None, None, None)


def test_a_histogram_that_shrank_began_anew() -> None:
    assert difference(Histogram({(1.0, 0.1): 9}), Histogram({(1.0, 0.1): 2})).buckets == {(1.0, 0.1): 2}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"cluster_statuses": 1}', '{"cluster_statuses": [{"name": "rng"}, 1]}']
)
def test_an_answer_that_is_not_envoys_is_said_to_be_so(text: str) -> None:
    with pytest.raises(UnreadableError, match="as documented"):
        read(text, '{"stats": []}', INFO, 0.0)


def test_clusters_of_one_service_are_taken_together() -> None:
    def host(port: int) -> dict[str, object]:
        where = {"socket_address": {"address": "::1", "port_value": port}}
        return {"address": where, "stats": [{"name": "rq_total", "value": "3"}]}

    clusters = [{"name": "rng", "host_statuses": [host(1)]}, {"name": "rng/canary", "host_statuses": [host(2)]}]
    service = read(json.dumps({"cluster_statuses": clusters}), '{"stats": []}', INFO, 0.0).services["rng"]
    assert {where: counts.calls for where, counts in service.targets.items()} == {"[::1]:1": 3, "[::1]:2": 3}
    assert host_port("127.0.0.1", 1) == "127.0.0.1:1"


def test_the_limits_of_a_service_are_not_those_of_the_copies_that_it_gets() -> None:
    limits = {"circuit_breakers": {"thresholds": [{"max_requests": 1000}]}}
    clusters = {"cluster_statuses": [{"name": name, **limits} for name in ("rng", "rng~mirror")]}
    found = read(json.dumps(clusters), '{"stats": []}', INFO, 0.0)
    assert [(each.name, each.limit) for each in found.services["rng"].breakers] == [("calls", 1000)]


async def test_a_reading_counts_every_call_that_ended_before_it_was_asked_for(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b), balancer(tmp_path, rng(a.target, b.target)) as (_plane, envoy):
        watcher = watcher_of(envoy)
        async with envoy.channel() as channel:
            for calls in (10, 20, 30):
                await who(channel, 10)
                read_now = await watcher.fresh()
                assert read_now is not None
                counts = read_now.services["rng"].targets
                assert {where: each.calls for where, each in counts.items()} == {
                    f"127.0.0.1:{a.port}": calls // 2,
                    f"127.0.0.1:{b.port}": calls // 2,
                }
                assert read_now.calls == calls


async def test_failures_are_those_that_clients_saw(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b), balancer(tmp_path, rng(a.target, b.target)) as (_plane, envoy):
        watcher = watcher_of(envoy)
        async with envoy.channel() as channel:
            await watcher.fresh()
            await who(channel, 10)
            a.abort = grpc.StatusCode.UNAVAILABLE
            codes = [await failure_of(channel) for _ in range(10)]
            a.abort = None
            await b.stop()  # its calls are retried at the other
            await who(channel, 10)
            await watcher.fresh()
        window = service_window("rng", watcher.readings[0], watcher.readings[-1])
        assert window.failures == codes.count(grpc.StatusCode.UNAVAILABLE) == 5
        assert window.targets[f"127.0.0.1:{b.port}"].failures > 0


async def test_calls_under_way_and_latencies_are_seen(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_plane, envoy):
        watcher = watcher_of(envoy)
        async with envoy.channel() as channel:
            await watcher.fresh()
            streams = [start(channel.unary_unary(STAY)) for _ in range(3)]

            async def in_flight(count: int) -> bool:
                now = await watcher.fresh()
                return now is not None and now.services["rng"].targets[f"127.0.0.1:{a.port}"].in_flight == count

            await eventually(lambda: in_flight(3))
            a.release.set()
            await asyncio.gather(*streams)
            await eventually(lambda: in_flight(0))
            await eventually(lambda: timed(watcher))


async def timed(watcher: Watcher) -> bool:
    """Envoy gathers histograms when it is asked, for the answer after."""
    await watcher.fresh()
    before, after = window_of(tuple(watcher.readings)) or (None, None)
    assert before is not None
    assert after is not None
    return percentiles(difference(before.latency, after.latency))[0] is not None


async def test_many_who_ask_at_once_share_a_reading(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_plane, envoy):
        watcher = watcher_of(envoy)
        await asyncio.gather(*(watcher.fresh() for _ in range(100)))
        assert len(watcher.readings) <= 2


async def test_without_envoy_there_is_no_reading_and_the_reason_is_known(tmp_path: Path) -> None:
    watcher = Watcher(EnvoyStatistics(tmp_path / "admin.sock"), Journal())
    assert await watcher.fresh() is None
    assert "admin.sock" in (watcher.problem or "")


async def test_an_envoy_stays_the_same_however_unevenly_it_is_read_and_is_seen_to_drain_at_once(tmp_path: Path) -> None:
    """GIVEN a page that was looked at and closed, so that a reading comes long after two quick ones, THEN no count is
    taken for that of another Envoy, or all calls since its start would count once more."""
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_plane, envoy):
        statistics = EnvoyStatistics(envoy.settings.admin_socket)
        statistics.reading()
        before = statistics.reading()
        await asyncio.sleep(5)
        after = statistics.reading()
        assert not after.is_of_another_envoy(before)
        assert not after.draining
        await envoy.admin("/healthcheck/fail", "POST")
        assert statistics.reading().draining


async def test_what_another_envoy_counted_before_is_compared_with_nothing(tmp_path: Path) -> None:
    """GIVEN an Envoy that died, and one in its place whose counts and age have passed the other's, THEN the restart is
    noted, and no window spans both."""

    class Scripted(EnvoyStatistics):
        script = iter(
            (reading(0, {"a": 5}, uptime=1), reading(15, {"a": 9}, uptime=6), reading(16, {"a": 12}, uptime=7))
        )

        def reading(self) -> Reading:
            return next(self.script)

    journal = Journal()
    watcher = Watcher(Scripted(tmp_path / "admin.sock"), journal)
    await watcher.fresh()
    await watcher.fresh()
    assert (len(journal.envoy_restarts), window_of(list(watcher.readings))) == (1, None)
    await watcher.fresh()
    window = window_of(list(watcher.readings))
    assert len(journal.envoy_restarts) == 1
    assert window is not None
    assert service_window("rng", *window).calls == 3


async def test_readings_come_once_a_second_while_someone_looks_and_seldom_otherwise(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, rng(a.target)) as (_plane, envoy):
        watcher = watcher_of(envoy)
        running = asyncio.create_task(watcher.run())
        try:
            await eventually(lambda: watcher.ticks == 1)
            await asyncio.sleep(1.5)
            assert watcher.ticks == 1
            with watcher.looking():
                await eventually(lambda: watcher.ticks >= 3)
        finally:
            running.cancel()


async def test_readings_that_cost_much_come_less_often_so_that_pages_never_take_the_balancers_cpu(
    tmp_path: Path,
) -> None:
    class Slow(EnvoyStatistics):
        def reading(self) -> Reading:
            began = time.thread_time()
            while time.thread_time() - began < 0.02:
                pass
            return Reading(now := time.monotonic(), {}, uptime_seconds=round(now))

    watcher = Watcher(Slow(tmp_path / "admin.sock"), Journal())
    running = asyncio.create_task(watcher.run())
    try:
        with watcher.looking():
            await eventually(lambda: watcher.ticks >= 2)
        first, second = [each.at for each in watcher.readings][:2]
        assert second - first >= 2.5
    finally:
        running.cancel()
