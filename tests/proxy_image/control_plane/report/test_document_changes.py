"""What changed the list and when Envoy had it; what was refused: from the document to the page, the API and metrics."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from grpc_lb_contract import Cause, CauseKind, Diagnostics, Document, RejectedLabel, ShadowedRoute, Stop, TaskChange
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.report import formats
from proxy_image.control_plane.sources.last_good import LastGood
from proxy_image.control_plane.sources.poll_intervals import Intervals
from proxy_image.control_plane.sources.ssm import SsmSource
from proxy_image.control_plane.stats.history.entries import Change, What, identity
from proxy_image.control_plane.stats.history.journal import Journal
from proxy_image.control_plane.stats.watcher import EnvoyStatistics, Watcher
from proxy_image.control_plane.web import status_lines
from proxy_image.control_plane.web.app import web_app
from tests.proxy_image.control_plane.fakes import PREFIX, FakeParameters
from tests.proxy_image.control_plane.support import (
    NODE,
    ControlPlane,
    backends,
    control_plane,
    eventually,
    logged,
    rng,
    running_envoy,
    settings_for,
    target,
)

WHY = "Essential container in task exited (app: exit code 137)"
NOTES = Diagnostics(
    (RejectedLabel("orders", 4, "grpc-lb.port", "http", "must be 1..65535"),),
    (ShadowedRoute("host * and gRPC service *", "rng", "rng-copy"),),
    2,
)


def stopped(task: str, at: float) -> Cause:
    change = TaskChange(task, "rng", "DEPROVISIONING", "STOPPED", WHY, "EssentialContainerExited")
    return Cause(CauseKind.EVENT, at, at + 0.25, 3, (change,))


@dataclass
class World:
    plane: ControlPlane
    parameters: FakeParameters
    source: SsmSource
    client: httpx.AsyncClient

    async def publish(self, document: Document, cause: Cause | None = None) -> None:
        self.parameters.publish(document, cause)
        assert await self.source.read() is None

    @property
    def change(self) -> Change:
        return self.plane.state.journal.changes[-1]

    async def samples(self, name: str) -> dict[str, float]:
        families = text_string_to_metric_families((await self.client.get("/metrics")).text)
        (family,) = [family for family in families if family.name == name]
        return {sample.name.removeprefix(name): sample.value for sample in family.samples}


@asynccontextmanager
async def world(tmp_path: Path) -> AsyncIterator[World]:
    settings = settings_for(tmp_path)
    async with control_plane(settings) as plane:
        reconciler = Reconciler(plane.cache, plane.ports, plane.state)
        parameters = FakeParameters()
        source = SsmSource(
            parameters, prefix=PREFIX, intervals=Intervals(1, 1), last_good=LastGood(tmp_path, PREFIX), sink=reconciler
        )
        watcher = Watcher(EnvoyStatistics(settings.admin_socket), plane.state.journal)
        transport = httpx.ASGITransport(web_app(reconciler, plane.state, watcher, NODE))
        async with httpx.AsyncClient(transport=transport, base_url="http://balancer") as client:
            yield World(plane, parameters, source, client)
        await reconciler.close()


async def test_the_time_from_ecss_event_to_envoy_is_measured_and_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with world(tmp_path) as here, backends("a", "b") as (a, b):
        # GIVEN an Envoy that has the first document, whose event is long past
        await here.publish(rng(a.target, b.target), stopped("task-0", time.time() - 900))
        async with running_envoy(here.plane.settings) as envoy:
            await envoy.ready()
            await eventually(lambda: here.change.envoy_at is not None)
            assert (await here.samples("grpc_lb_event_to_envoy_seconds"))["_count"] == 0
            # WHEN an event of two seconds ago takes a target away
            await here.publish(rng(b.target), stopped(a.target.task, (event := time.time() - 2)))
            await eventually(lambda: here.change.envoy_at is not None)
            # THEN the metric has the time from the event to Envoy's answer
            seconds = await here.samples("grpc_lb_event_to_envoy_seconds")
            assert seconds["_count"] == 1
            assert 2 <= seconds["_sum"] <= time.time() - event
            # AND the timeline names the cause, the reason and the time
            (change, _first) = (await here.client.get("/api/timeline")).json()
            assert change["cause"]["tasks"][0]["reason"] == WHY
            assert change["event_to_envoy_seconds"] == pytest.approx(seconds["_sum"])
            page = (await here.client.get("/timeline")).text
            assert f"is DEPROVISIONING, told to stop: {WHY}" in page
            assert "and 2 more events of the same batch" in page
            assert "event to document 0.25 s · document to here" in page
            # AND so does the target's history
            assert f"its task stopped: {WHY}" in (await here.client.get("/services/rng")).text
            # AND a log line
            assert logged(caplog, "generation in use")[-1]["event_to_envoy_seconds"] == change["event_to_envoy_seconds"]


async def test_ecss_reason_is_told_whichever_generation_a_balancer_reads(tmp_path: Path) -> None:
    async with world(tmp_path) as here:

        async def reason_of(task: str) -> bool:
            page = (await here.client.get("/services/rng")).text
            return f"its task stopped: {WHY} {task}" in page

        await here.publish(rng(target(1), target(2), target(3)))
        # WHEN a task died in a generation that this balancer did not read
        died = Stop("task-1", f"{WHY} task-1")
        await here.publish(rng(target(2), target(3), target(4)), Cause(CauseKind.EVENT, stops=(died,)))
        # THEN its page has the reason, in the target's history and in the timeline
        assert await reason_of("task-1")
        assert here.change.left == (f"rng 127.0.0.1:1 (task task-1): {WHY} task-1",)
        # AND a reason that comes after its task has left is added
        document = rng(target(3), target(4))
        await here.publish(document, Cause(CauseKind.SCHEDULED, stops=(Stop("task-2", ""), died)))
        assert not await reason_of("task-2")
        changes = len(here.plane.state.journal.changes)
        late = Stop("task-2", f"{WHY} task-2")
        await here.publish(document, Cause(CauseKind.SCHEDULED, stops=(late, died)))
        assert await reason_of("task-2")
        assert len(here.plane.state.journal.changes) == changes


async def test_what_envoy_does_not_take_is_not_in_use(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.publish(rng(target(1)), stopped("task-9", time.time()))
        assert here.change.envoy_at is None
        assert (await here.samples("grpc_lb_event_to_envoy_seconds"))["_count"] == 0


async def test_rejected_labels_and_shadowed_routes_are_on_the_page_in_the_api_and_in_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path) as here:
        await here.publish(Document(rng(target(1)).services, NOTES))
        report = (await here.client.get("/api/report")).json()
        assert report["rejected_label_count"] == 3
        assert report["rejected_labels"] == [
            {"family": "orders", "revision": 4, "label": "grpc-lb.port", "value": "http", "problem": "must be 1..65535"}
        ]
        assert report["shadowed_routes"] == [
            {"route": "host * and gRPC service *", "holder": "rng", "loser": "rng-copy"}
        ]
        page = (await here.client.get("/problems")).text
        assert "A label of task family orders is rejected" in page
        assert "grpc-lb.port of revision 4 must be 1..65535, got &#x27;http&#x27;" in page
        assert "rng-copy asks for calls that go to rng" in page
        assert "2 more labels" in page
        assert (await here.samples("grpc_lb_rejected_labels"))[""] == 3
        assert (await here.samples("grpc_lb_shadowed_routes"))[""] == 1
        print("\n".join(status_lines.lines(report)))
        shown = capsys.readouterr().out
        assert "grpc-lb.port of revision 4 must be 1..65535, got 'http'" in shown
        assert "rng-copy asks for calls that go to rng" in shown
        assert "more: docs/operate/alarms.md#labelrejected" in shown
        # AND they go when they are mended
        await here.publish(rng(target(1)))
        assert (await here.samples("grpc_lb_rejected_labels"))[""] == 0
        assert (await here.client.get("/api/problems")).text.count("orders") == 0


def test_the_terminal_shows_the_last_change_with_its_cause() -> None:
    journal = Journal(clock=lambda: 1_000.0)
    journal.applied(None, rng(target(1), target(2)), "ssm")
    journal.applied(rng(target(1), target(2)), rng(target(2)), "ssm", "g2", stopped("task-1", 998.0))
    journal.in_use("g2")
    change = json.loads(json.dumps(dataclasses.asdict(journal.changes[-1])))
    lines = list(status_lines.change_lines(change, now=1_060.0))
    assert lines[0] == "changed 1 min 0 s ago, generation g2"
    assert f"  ECS's event: task task-1 of rng is DEPROVISIONING, told to stop: {WHY}" in lines
    assert "  left: rng 127.0.0.1:1 (task task-1)" in lines
    assert any("2.00 s in all" in line for line in lines)


def test_an_event_that_does_not_explain_a_change_is_not_called_its_cause() -> None:
    pending = TaskChange("task-1", "rng", "PENDING", "RUNNING")
    assert [*formats.cause(Cause(CauseKind.EVENT, events=1, tasks=(pending,)))] == [
        "ECS's event: task task-1 of rng is PENDING; by the time the Lambda asked, it had moved on"
    ]
    (said,) = formats.cause(Cause(CauseKind.EVENT, events=3))
    assert said == "ECS reported other tasks; the Lambda then listed all of them, and found this too."


def test_a_target_drains_with_the_reason_of_its_tasks_stop() -> None:
    journal = Journal()
    before, after = rng(target(1), target(2)), rng(target(1, draining=True), target(2))
    journal.applied(None, before, "ssm")
    journal.applied(before, after, "ssm", cause=stopped("task-1", 0.0))
    event = journal.targets[identity("rng", target(1))][-1]
    assert (event.what, event.why) == (What.DRAINING, f"its task was told to stop: {WHY}; calls in flight finish")


def test_a_generation_that_a_newer_one_overtook_was_never_in_use() -> None:
    journal = Journal()
    journal.applied(None, rng(target(1)), "ssm", "g1")
    journal.applied(rng(target(1)), rng(target(2)), "ssm", "g2", stopped("task-1", 0.0))
    assert journal.in_use("g1") is None
    assert journal.in_use("g2") is not None
    assert journal.in_use("g2") is None  # an Envoy that restarts takes it once more
    assert journal.changes[0].envoy_at is None


def test_a_clock_that_is_behind_makes_no_negative_time() -> None:
    journal = Journal(clock=lambda: 100.0)
    journal.applied(None, rng(target(1)), "ssm", "g1")
    journal.applied(rng(target(1)), rng(target(2)), "ssm", "g2", stopped("task-1", 105.0))
    change = journal.in_use("g2")
    assert change is not None
    assert change.event_to_envoy_seconds == 0.0
