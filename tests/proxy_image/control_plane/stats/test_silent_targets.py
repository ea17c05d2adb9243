"""Targets that answer nothing, and services whose streams stand still, as the watch tells them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy_image.control_plane.report.call_problems import CallFigures, call_problems
from proxy_image.control_plane.stats.envoy_stats import Reading, ServiceCounts, TargetCounts
from proxy_image.control_plane.stats.last_hour.hour import Usual
from proxy_image.control_plane.stats.silent_targets import Side, SilenceWatch, Stalled, Unanswered
from tests.proxy_image.control_plane.support import GRPC_SERVICE, backends, balancer, eventually, rng, watcher_of, who

A, B = "10.0.0.1:50051", "10.0.0.2:50051"
WALL = 1_000_000.0


def service(**targets: tuple[int, int, int]) -> ServiceCounts:
    """Of each target: calls sent, calls ended well, calls in flight."""
    names = {"a": A, "b": B}
    counts = {
        names[name]: TargetCounts(calls=sent, successes=ended, in_flight=in_flight)
        for name, (sent, ended, in_flight) in targets.items()
    }
    return ServiceCounts(
        counts,
        calls=sum(each.calls for each in counts.values()),
        in_flight=sum(each.in_flight for each in counts.values()),
    )


def watched(*seconds: ServiceCounts) -> SilenceWatch:
    watch = SilenceWatch()
    readings = [Reading(float(at), {"rng": counts}) for at, counts in enumerate(seconds)]
    for before, after in itertools.pairwise(readings):
        watch.add(before, after, WALL + after.at)
    return watch


def unanswered(watch: SilenceWatch) -> Mapping[str, Unanswered]:
    return watch.now.unanswered.get("rng", {})


def test_a_target_that_ends_no_call_while_the_other_does_is_told_with_what_waits_and_since_when() -> None:
    well = service(a=(30, 30, 0), b=(30, 30, 0))
    # GIVEN b stops to answer after the first second
    hangs = [service(a=(30 * n, 30 * n, 0), b=(30 * n, 30, 30 * (n - 1))) for n in (2, 3, 4)]
    assert unanswered(watched(well, *hangs)) == {B: Unanswered(WALL, 90, 90)}


def test_a_lone_target_that_answered_before_is_told_too() -> None:
    well = [service(a=(30 * n, 30 * n, 0)) for n in range(1, 12)]
    hangs = [service(a=(330 + 30 * n, 330, 30 * n)) for n in (1, 2, 3)]
    assert unanswered(watched(*well, *hangs)) == {A: Unanswered(WALL + 10, 90, 90)}


def test_long_streams_that_no_target_ends_are_no_silence() -> None:
    opened = [service(a=(10 * n, 0, 10 * n), b=(10 * n, 0, 10 * n)) for n in range(1, 9)]
    assert not unanswered(watched(*opened))


def test_a_few_streams_beside_short_calls_are_no_silence() -> None:
    # GIVEN a target that holds two streams from the beginning, to which nothing more is sent, as with hashing
    kept = [service(a=(50 * n, 50 * n, 0), b=(2, 0, 2)) for n in range(1, 20)]
    assert not unanswered(watched(*kept))


def test_calls_that_their_callers_give_up_are_no_answers() -> None:
    well = service(a=(30, 30, 0), b=(30, 30, 0))
    # GIVEN callers whose deadline passes after a second: as many leave as come
    hangs = [service(a=(30 * n, 30 * n, 0), b=(30 * n, 30, 30)) for n in (2, 3, 4)]
    assert unanswered(watched(well, *hangs)) == {B: Unanswered(WALL, 30, 90)}


def test_a_target_that_fails_each_call_answers() -> None:
    fails = [
        ServiceCounts(
            {
                A: TargetCounts(calls=30 * n, successes=30 * n),
                B: TargetCounts(calls=30 * n, failures=30 * n - 1, in_flight=1),
            }
        )
        for n in (1, 2, 3, 4)
    ]
    assert not unanswered(watched(*fails))


def test_a_target_that_answers_again_is_well() -> None:
    hangs = [service(a=(30 * n, 30 * n, 0), b=(30 * n, 0, 30 * n)) for n in (1, 2, 3, 4)]
    assert unanswered(watched(*hangs))
    assert not unanswered(watched(*hangs, service(a=(150, 150, 0), b=(150, 140, 10))))


@pytest.mark.parametrize(
    ("side", "counts"), [(Side.CALLERS, {"paused": 7, "resumed": 2}), (Side.SERVER, {"backed_up": 7, "drained": 2})]
)
def test_a_service_of_which_nothing_comes_through_says_who_does_not_read(side: Side, counts: dict[str, Any]) -> None:
    stands = replace(service(a=(40, 20, 20)), **counts)
    assert watched(*[stands] * 5).now.stalled == {"rng": Stalled(side, WALL, 5, 20)}


def test_streams_through_which_messages_come_do_not_stand_still() -> None:
    flows = [replace(service(a=(40, 20, 20)), paused=7, resumed=2, bytes_read=50_000 * n) for n in range(5)]
    assert not watched(*flows).now.stalled


def test_streams_that_ended_while_they_were_paused_are_not_counted() -> None:
    ended = replace(service(a=(40, 40, 0)), paused=7, resumed=2)
    later = replace(service(a=(41, 40, 1)), paused=7, resumed=2)
    assert not watched(ended, *[later] * 5).now.stalled


async def test_a_real_target_that_hangs_is_told_of_and_no_other(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        watcher = watcher_of(envoy)
        await who(channel, 20)
        waiting: list[asyncio.Future[object]] = []
        a.hold = True

        async def told() -> bool:
            waiting.extend(asyncio.ensure_future(who(channel)) for _ in range(4))
            await watcher.fresh()
            return bool(watcher.silence.now.unanswered)

        await eventually(told)
        silent = watcher.silence.now.unanswered["rng"]
        a.release.set()
        await asyncio.gather(*waiting)
        assert silent.keys() == {f"127.0.0.1:{a.port}"}


async def test_a_real_service_whose_callers_do_not_read_is_told_as_such(tmp_path: Path) -> None:
    async with (
        backends("a") as (a,),
        balancer(tmp_path, rng(a.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        watcher = watcher_of(envoy)
        await who(channel, 5)
        # GIVEN callers that read a message and then no more, of a server that sends without end
        flood: Any = channel.unary_stream(f"/{GRPC_SERVICE}/Flood")
        calls = [flood(b"") for _ in range(5)]
        for call in calls:
            await call.read()

        async def told() -> bool:
            await watcher.fresh()
            return bool(watcher.silence.now.stalled)

        await eventually(told)
        stalled = watcher.silence.now.stalled["rng"]
        assert (stalled.side, stalled.streams, stalled.in_flight) == (Side.CALLERS, 5, 5)
        # WHEN they leave, THEN all is well
        for call in calls:
            call.cancel()

        async def well() -> bool:
            await watcher.fresh()
            return not watcher.silence.now.stalled

        await eventually(well)


CALM = CallFigures("rng", 10.0, 1000, 0, {"OK": 1000}, 3, 1000, 5.0)


@pytest.mark.parametrize(
    ("figures", "runbook", "said"),
    [
        (replace(CALM, failures=100, statuses={"OK": 900, "UNAVAILABLE": 100}), "CallsFail", "100 UNAVAILABLE"),
        (replace(CALM, busiest=(A, 1.8)), "TrafficImbalance", "1.8 times its fair share"),
        (replace(CALM, p50_ms=400.0, usual=Usual(5.0, 3.0)), "LatencyHigh", "400 ms"),
        (replace(CALM, in_flight=900, usual=Usual(5.0, 3.0)), "CallsPileUp", "900 are in flight"),
        (
            replace(CALM, unanswered={B: Unanswered(WALL - 7, 90, 90)}),
            "TargetSilent",
            "90 calls wait at 10.0.0.2:50051",
        ),
        (replace(CALM, stalled=Stalled(Side.CALLERS, WALL - 7, 5, 20)), "StreamsStalled", "wait for a caller to read"),
    ],
)
def test_each_trouble_is_a_problem_with_a_section_of_the_runbook(figures: CallFigures, runbook: str, said: str) -> None:
    (problem,) = call_problems(figures, WALL)
    assert (problem.runbook, problem.service) == (runbook, "rng")
    assert said in problem.detail
    assert f"\n## {runbook}\n" in Path("docs/operate/alarms.md").read_text()


def test_a_service_that_is_well_has_no_problem() -> None:
    assert not [*call_problems(replace(CALM, failures=4, busiest=(A, 1.2), usual=Usual(4.0, 2.0)), WALL)]
