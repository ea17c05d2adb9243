"""What goes wrong with calls through a real Envoy, as the page tells it, each with its section of the alarms' page."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from grpc_lb_contract import Document, OutlierDetection, TrafficPolicy
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.report import service_report
from proxy_image.control_plane.sources.sink import Origin
from proxy_image.control_plane.stats.last_hour.hour import Hour, Minute, ServiceMinute
from proxy_image.control_plane.stats.watcher import EnvoyStatistics, Watcher
from proxy_image.control_plane.web.app import web_app
from tests.proxy_image.control_plane.calls import start
from tests.proxy_image.control_plane.policies import codes, treated
from tests.proxy_image.control_plane.support import (
    NODE,
    STREAM,
    WHO,
    Envoy,
    backends,
    control_plane,
    eventually,
    running_envoy,
    settings_for,
    who,
)

# What the last hour was like: half of the calls took 2 ms, and three were in flight.
USUAL = tuple(Minute(60 * place, 60.0, {"rng": ServiceMinute(600, 0, 3, 2.0, 5.0)}, {}) for place in range(6))


@dataclass
class Watched:
    watcher: Watcher
    client: httpx.AsyncClient
    channel: grpc.aio.Channel
    envoy: Envoy

    async def problem(self, runbook: str) -> dict[str, Any] | None:
        await self.watcher.fresh()
        found = (await self.client.get("/api/problems")).json()
        return next((each for each in found if each["runbook"] == runbook), None)

    async def is_told(self, runbook: str, title: str, detail: str) -> None:
        """On the page, in the API, and with a section of docs/operate/alarms.md."""
        problem = await eventually(lambda: self.problem(runbook))
        assert title in problem["title"]
        assert detail in problem["detail"]
        page = (await self.client.get("/")).text
        assert title in page
        assert runbook in page
        assert f"\n## {runbook}\n" in await asyncio.to_thread(Path("docs/operate/alarms.md").read_text)


@asynccontextmanager
async def watched(tmp_path: Path, document: Document) -> AsyncIterator[Watched]:
    settings = settings_for(tmp_path)
    async with control_plane(settings) as plane, running_envoy(settings) as envoy:
        reconciler = Reconciler(plane.cache, plane.ports, plane.state, telemetry=settings.telemetry)
        await reconciler.found(document, Origin.SSM)
        await envoy.ready()
        watcher = Watcher(EnvoyStatistics(settings.admin_socket), plane.state.journal)
        watcher.hour = Hour(USUAL)
        transport = httpx.ASGITransport(web_app(reconciler, plane.state, watcher, NODE))
        async with httpx.AsyncClient(transport=transport, base_url="http://balancer") as client, envoy.channel() as to:
            await who(to, 2)
            assert await watcher.fresh() is not None
            yield Watched(watcher, client, to, envoy)
        await reconciler.close()


async def test_failing_calls_are_told_with_their_status(tmp_path: Path) -> None:
    async with backends("a") as (a,), watched(tmp_path, treated(TrafficPolicy(), a.target)) as page:
        a.abort = grpc.StatusCode.DATA_LOSS
        await codes(page.channel, 6)
        await page.is_told("CallsFail", "of the calls to rng fail", "DATA_LOSS")


async def test_a_target_that_gets_the_calls_of_another_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a target that accepts no connections, and that Envoy must not eject
    monkeypatch.setattr(service_report, "SETTLING_SECONDS", 0.0)
    stays = TrafficPolicy(outlier_detection=OutlierDetection(max_ejection_percent=0))
    async with backends("a", "b") as (a, b), watched(tmp_path, treated(stays, a.target, b.target)) as page:
        await b.stop()
        # Several at once, so that they are over within what the page looks at.
        answers = await asyncio.gather(*(who(page.channel, 6) for _ in range(20)))
        assert sum(answers, Counter()) == {"a": 120}
        await page.is_told("TrafficImbalance", "The calls of rng are uneven", f"127.0.0.1:{a.port} gets")


async def test_slow_calls_are_told_with_what_is_usual(tmp_path: Path) -> None:
    async with backends("a") as (a,), watched(tmp_path, treated(TrafficPolicy(), a.target)) as page:
        a.hold = True
        calls = [start(page.channel.unary_unary(WHO)) for _ in range(25)]
        await eventually(lambda: a.seen["who"] >= 27)
        await asyncio.sleep(0.3)
        a.release.set()
        await asyncio.gather(*calls)
        await page.is_told("LatencyHigh", "rng is slower than it was", "over the last hour it was mostly 2 ms")


async def test_calls_that_pile_up_are_told_with_their_number(tmp_path: Path) -> None:
    async with (
        backends("a") as (a,),
        watched(tmp_path, treated(TrafficPolicy(), a.target)) as page,
        page.envoy.channel(**{"grpc.use_local_subchannel_pool": 1}) as another,
    ):
        streams = [start(each.unary_stream(STREAM)) for each in (page.channel, another) for _ in range(60)]
        for stream in streams:
            await stream.read()
        await page.is_told(
            "CallsPileUp", "Calls of rng pile up", "120 are in flight; over the last hour it was mostly 3"
        )
        # AND it is over when they are
        for stream in streams:
            stream.cancel()

        async def over() -> bool:
            return await page.problem("CallsPileUp") is None

        await eventually(over)
