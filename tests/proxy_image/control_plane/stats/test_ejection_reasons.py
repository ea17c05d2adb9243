"""Targets that a real Envoy leaves alone: the history says why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from grpc_lb_contract import Document, HealthCheck, OutlierDetection, TrafficPolicy
from proxy_image.control_plane.report.problems import Standing, service_problems
from proxy_image.control_plane.report.report import Report, report
from proxy_image.control_plane.sources.sink import Origin
from proxy_image.control_plane.stats.history import ejection_log
from proxy_image.control_plane.stats.history.ejection_log import EjectionLog
from proxy_image.control_plane.stats.history.entries import TargetEvent, What, identity
from proxy_image.control_plane.stats.history.journal import Journal
from proxy_image.control_plane.stats.watcher import EnvoyStatistics, Watcher
from tests.proxy_image.control_plane.policies import codes, ms, treated
from tests.proxy_image.control_plane.support import (
    Backend,
    Envoy,
    backends,
    balancer,
    control_plane,
    eventually,
    rng,
    running_envoy,
    settings_for,
    target,
)

WELL = Standing("g", Origin.SSM, 0.0, None, envoy_connected=True, envoy_unreadable=None)


@dataclass
class Watched:
    envoy: Envoy
    journal: Journal
    watcher: Watcher
    document: Document

    def last(self, backend: Backend) -> TargetEvent:
        return self.journal.targets[identity("rng", backend.target)][-1]

    async def becomes(self, backend: Backend, what: What) -> bool:
        await self.watcher.fresh()
        return self.last(backend).what is what

    def report(self) -> Report:
        return report(
            self.document,
            (),
            tuple(self.watcher.readings),
            self.journal,
            WELL,
            at=0.0,
            grpc_clients=0,
            task="",
            zone="",
        )


@asynccontextmanager
async def watched(tmp_path: Path, document: Document) -> AsyncIterator[Watched]:
    async with balancer(tmp_path, document) as (_, envoy):
        journal = Journal()
        journal.applied(None, document, "ssm")
        watcher = Watcher(EnvoyStatistics(envoy.settings.admin_socket), journal)
        await watcher.fresh()
        yield Watched(envoy, journal, watcher, document)


async def test_a_target_ejected_for_its_answers_is_said_to_be_so_and_returns(tmp_path: Path) -> None:
    policy = TrafficPolicy(
        outlier_detection=OutlierDetection(consecutive_gateway_failures=3, base_ejection_time=ms(1000))
    )
    async with (
        backends("a", "b") as (a, b),
        watched(tmp_path, treated(policy, a.target, b.target)) as here,
        here.envoy.channel() as channel,
    ):
        a.abort = grpc.StatusCode.UNAVAILABLE

        async def is_ejected() -> bool:
            # Again, where it was back before anyone looked.
            await codes(channel, 6)
            return await here.becomes(a, What.EJECTED)

        await eventually(is_ejected)
        assert here.last(a).why.startswith("it answered UNAVAILABLE or DEADLINE_EXCEEDED")
        states = {each.address: each.state for each in here.report().services[0].targets}
        assert states == {f"127.0.0.1:{a.port}": "ejected", f"127.0.0.1:{b.port}": "serving"}
        a.abort = None
        await eventually(lambda: here.becomes(a, What.RETURNED))


async def test_an_ejection_and_a_return_between_two_readings_are_in_the_history_with_their_reason(
    tmp_path: Path,
) -> None:
    policy = TrafficPolicy(
        outlier_detection=OutlierDetection(consecutive_gateway_failures=3, base_ejection_time=ms(100))
    )
    document = None
    async with backends("a", "b") as (a, b):
        document = treated(policy, a.target, b.target)
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            log = EjectionLog(envoy.settings.ejections_log)
            journal = Journal()
            journal.applied(None, document, "ssm")
            watcher = Watcher(EnvoyStatistics(envoy.settings.admin_socket), journal, ejections=log)
            await watcher.fresh()
            a.abort = grpc.StatusCode.UNAVAILABLE
            await codes(channel, 6)
            # WHEN nobody reads until the target is back
            await eventually(lambda: b"UNEJECT" in envoy.settings.ejections_log.read_bytes())
            await watcher.fresh()
            told = [(event.what, event.why) for event in journal.targets[identity("rng", a.target)]]
            assert told[1][0] is What.EJECTED
            assert told[1][1].startswith(("it answered UNAVAILABLE", "it answered with errors"))
            assert (What.RETURNED, "Envoy sends calls to it again") in told
            # AND what a reading and the log both tell of is told of once
            await watcher.fresh()
            assert len(journal.targets[identity("rng", a.target)]) == len(told)


def test_the_log_is_read_by_whole_lines_and_cut_when_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ejection_log, "MAX_BYTES", 1_000)
    path = tmp_path / "log"
    log = EjectionLog(path)
    assert log.news() == []
    line = (
        b'{"type":"CONSECUTIVE_5XX","cluster_name":"rng","upstream_url":"10.0.0.1:1","action":"EJECT",'
        b'"enforced":true,"timestamp":"2026-01-01T00:00:00.500Z"}\n'
    )
    path.write_bytes(line + b"nonsense\n" + line[:20])
    (event,) = log.news()
    assert (event.cluster, event.address, event.ejected) == ("rng", "10.0.0.1:1", True)
    with path.open("ab") as file:
        file.write(line[20:] + 9 * line)
    found = []
    for _ in range(4):
        found += log.news()
    assert len(found) == 10
    assert path.stat().st_size == 0
    with path.open("ab") as file:
        file.write(line)
    assert log.news() == [event]


async def test_a_target_that_does_not_pass_its_health_checks_is_shown_and_is_a_problem(tmp_path: Path) -> None:
    policy = TrafficPolicy(health_check=HealthCheck(enabled=True, interval=ms(100)))
    async with backends("a") as (a,):
        document = treated(policy, a.target)
        settings = settings_for(tmp_path)
        # GIVEN a server without the health service: Envoy is never sent a call to it
        async with control_plane(settings) as plane, running_envoy(settings) as envoy:
            await plane.serve(document)
            journal = Journal()
            journal.applied(None, document, "ssm")
            here = Watched(envoy, journal, Watcher(EnvoyStatistics(settings.admin_socket), journal), document)
            await eventually(lambda: here.becomes(a, What.UNHEALTHY))
            found = here.report()
            assert found.services[0].targets[0].state == "unhealthy"
            assert any("not pass the health checks" in problem.title for problem in found.problems)


async def test_how_full_envoys_memory_is_is_read(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with control_plane(settings) as plane, running_envoy(settings, memory=80 * 2**20) as envoy:
        await plane.serve(rng(target(1)))
        await envoy.ready()
        watcher = Watcher(EnvoyStatistics(settings.admin_socket), Journal())

        async def read() -> bool:
            now = await watcher.fresh()
            return now is not None and now.heap_percent > 0

        await eventually(read)
        assert not watcher.readings[-1].refuses_calls


def test_an_envoy_that_rejects_calls_is_an_error_that_says_what_to_do() -> None:
    full = Standing("g", Origin.SSM, 0.0, None, True, None, heap_percent=96, refuses_calls=True)
    found = report(None, (), (), Journal(), full, at=0.0, grpc_clients=0, task="", zone="").problems
    (problem,) = [each for each in found if each.title == "Envoy rejects new calls"]
    assert "96 %" in problem.detail
    assert "memory_limit_mib" in problem.do


def test_a_limit_of_connections_does_not_promise_failures() -> None:
    (near,) = service_problems("rng", [("a", "serving")], [("connections", 9, 10)])
    assert "calls wait" in near.detail
