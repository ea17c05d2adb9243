"""The last hour: what each minute holds, that it is bounded, and that it outlives the control plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy_image.control_plane.stats.call_stats import Ended
from proxy_image.control_plane.stats.envoy_stats import Reading, ServiceCounts, TargetCounts
from proxy_image.control_plane.stats.histogram import Histogram
from proxy_image.control_plane.stats.last_hour import hour_file
from proxy_image.control_plane.stats.last_hour.hour import MINUTES, Hour, Minute, Usual
from proxy_image.control_plane.stats.last_hour.hour_file import HourFile
from proxy_image.control_plane.stats.reported_calls import ReportedCalls
from tests.proxy_image.control_plane.support import backends, balancer, rng, watcher_of, who

START = 1_200_000  # the beginning of a minute
A = "10.0.0.1:50051"


def reading(at: float, calls: int, failures: int = 0, in_flight: int = 0, ms: float = 4.0) -> Reading:
    ended = Ended({"OK": calls}, Histogram({(ms, 1.0): calls}))
    target = TargetCounts(calls=calls, successes=calls - failures, failures=failures, in_flight=in_flight)
    counts = ServiceCounts({A: target}, calls=calls, in_flight=in_flight, ended=ended)
    return Reading(at, {"rng": counts}, uptime_seconds=int(at))


def minutes(hour: Hour, count: int, a_minute: int = 60) -> list[Minute]:
    """Read every 15 s, as where nobody looks."""
    found = []
    for number in range(count * 4 + 1):
        ended = hour.read(reading(number * 15.0, number * a_minute // 4, number, 3), START + number * 15)
        found += [ended] if ended is not None else []
    return found


def test_a_minute_has_the_calls_failures_latency_and_calls_in_flight_of_services_and_targets() -> None:
    (first, _) = minutes(Hour(), 2)
    assert (first.at, first.seconds) == (START, 60.0)
    service = first.services["rng"]
    assert (service.calls, service.failures, service.in_flight) == (60, 4, 3)
    assert service.p50_ms == pytest.approx(4.5)
    assert first.targets["rng"].of(A) == (60, 4, 3)
    assert first.targets["rng"].of("10.0.0.9:1") is None


def test_readings_of_every_second_count_the_same_calls() -> None:
    hour = Hour()
    ended = [hour.read(reading(float(at), at), START + at) for at in range(61)]
    assert [each.services["rng"].calls for each in ended if each is not None] == [60]


def test_without_envoy_a_minute_has_the_calls_that_clients_report() -> None:
    hour = Hour()
    ended = [
        hour.read(Reading(at, {}, uptime_seconds=at, reported={"rng": ReportedCalls(2 * at, at // 30)}), START + at)
        for at in (0, 15, 30, 45, 60)
    ]
    (minute,) = (each for each in ended if each is not None)
    assert (minute.services["rng"].calls, minute.services["rng"].failures) == (120, 2)


def test_an_envoy_that_began_anew_takes_nothing_away() -> None:
    hour = Hour()
    hour.read(reading(0.0, 500), START)
    hour.read(reading(30.0, 530), START + 30)
    ended = hour.read(Reading(60.0, reading(60.0, 5).services, uptime_seconds=1), START + 60)
    after = hour.read(Reading(90.0, reading(90.0, 25).services, uptime_seconds=31), START + 90)
    assert ended is None
    assert after is not None
    assert after.services["rng"].calls == 50


def test_an_hour_is_all_that_is_kept_and_a_minute_of_a_target_takes_12_bytes() -> None:
    hour = Hour()
    minutes(hour, MINUTES + 20)
    assert len(hour.minutes) == MINUTES
    first, last = hour.minutes[0].targets["rng"], hour.minutes[-1].targets["rng"]
    assert first.addresses is last.addresses
    assert len(last.counts) * last.counts.itemsize == 12 * len(last.addresses)


def test_what_is_usual_is_known_after_some_minutes() -> None:
    hour = Hour()
    minutes(hour, 3)
    assert hour.usual()["rng"] == Usual()
    later = Hour()
    minutes(later, 10)
    assert later.usual()["rng"] == Usual(4.5, 3.0)


def test_the_hour_outlives_the_control_plane_in_a_file_that_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hour_file, "MAX_LINES", 70)
    file = HourFile(tmp_path, clock=lambda: START + 100 * 60.0)
    ended = minutes(Hour(), 100)
    for minute in ended:
        file.keep(minute)
    assert HourFile(tmp_path, clock=lambda: START + 100 * 60.0).load() == ended[-60:]
    assert len(file.path.read_text().splitlines()) <= 70


def test_a_line_that_was_cut_off_and_minutes_of_long_ago_are_left_out(tmp_path: Path) -> None:
    file = HourFile(tmp_path, clock=lambda: START + 63 * 60.0)
    ended = minutes(Hour(), 5)
    for minute in ended:
        file.keep(minute)
    with file.path.open("ab") as appended:
        appended.write(b'{"at": 1, "serv\n{"at":"x","services":{},"targets":{}}\n[]\n')
    assert file.load() == ended[3:]


def test_a_directory_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = HourFile(tmp_path / "file")
    file.keep(minutes(Hour(), 1)[0])
    assert file.load() == []


async def test_a_real_envoys_calls_are_in_the_minute_in_which_they_ended(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, rng(a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        watcher, hour = watcher_of(envoy), Hour()
        await who(channel, 10)
        before = await watcher.fresh()
        await who(channel, 40)
        after = await watcher.fresh()
        assert before is not None
        assert after is not None
        hour.read(before, START)
        minute = hour.read(after, START + 60)
        assert minute is not None
        assert minute.services["rng"].calls == 40
        targets = minute.targets["rng"]
        assert [targets.of(f"127.0.0.1:{each.port}") for each in (a, b)] == [(20, 0, 0), (20, 0, 0)]
