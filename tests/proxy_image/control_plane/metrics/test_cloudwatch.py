"""Metrics for CloudWatch: lines on the container's stderr that say what clients counted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from proxy_image.control_plane.metrics.cloudwatch import MAX_SERVICES, BalancerState, Publisher, lines
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.report.report import ProxylessCalls
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.stats.history.entries import Change
from proxy_image.control_plane.stats.minute_stats import Figures
from proxy_image.control_plane.stats.watcher import EnvoyStatistics, Watcher
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.envoy.listeners import Ports
from tests.emf import emf_lines, metrics_in, values
from tests.proxy_image.balancer import Balancer, running_balancer, until
from tests.proxy_image.control_plane.support import WHO, backends, logged
from tests.proxy_image.control_plane.test_process import targets_file

SHORT_MINUTES = "tests.proxy_image.run_short_minutes"
MINUTE = 1.0
ALL_IS_WELL = BalancerState(1.0, 0.5, 0, 0, 3)


async def outcomes(channel: grpc.aio.Channel, calls: int) -> Counter[bool]:
    """How many calls failed."""
    call: Any = channel.unary_unary(WHO)
    failed: Counter[bool] = Counter()
    for _ in range(calls):
        try:
            await call(b"", timeout=60)
        except grpc.RpcError:
            failed[True] += 1
        else:
            failed[False] += 1
    return failed


async def minute_told(balancer: Balancer, several: int) -> None:
    await until(lambda: len(emf_lines(balancer.log.read_text())) >= several, f"{several} lines of metrics")


async def test_the_sum_of_the_lines_is_what_the_clients_counted(tmp_path: Path) -> None:
    """GIVEN a balancer under load, one of whose targets fails its calls, WHEN it stops, THEN calls and failures of its
    lines sum up to those of the clients, and each line is one that CloudWatch takes."""
    async with backends("a", "b") as (a, b):
        b.abort = grpc.StatusCode.INTERNAL
        env = {
            "GRPC_LB_TARGETS_FILE": str(targets_file(tmp_path, a, b)),
            "GRPC_LB_CLOUDWATCH_BALANCER": "Stack/Balancer",
            "MINUTE_SECONDS": str(MINUTE),
        }
        async with running_balancer(tmp_path / "state", "", env, module=SHORT_MINUTES) as balancer:
            await balancer.ready()
            channels = [
                grpc.aio.insecure_channel(balancer.address, options=[("grpc.use_local_subchannel_pool", 1)])
                for _ in range(4)
            ]
            counted: Counter[bool] = Counter()
            # Over more than one minute, so that a call that is counted twice or in none shows.
            for _ in range(3):
                several = len(emf_lines(balancer.log.read_text())) + 1
                for failed in await asyncio.gather(*(outcomes(channel, 60) for channel in channels)):
                    counted += failed
                await minute_told(balancer, several)
            for failed in await asyncio.gather(*(outcomes(channel, 25) for channel in channels)):
                counted += failed
            for channel in channels:
                await channel.close()
            control_plane = (await balancer.event("control plane started"))["pid"]
            os.kill(control_plane, signal.SIGTERM)
            await balancer.event("control plane stops")
            text = balancer.log.read_text()

    data = metrics_in(text)
    service = {"Balancer": "Stack/Balancer", "Service": "rng"}
    assert counted.total() == 820
    assert sum(values(data, "Calls", **service)) == counted.total()
    assert sum(values(data, "Calls", Balancer="Stack/Balancer")) == counted.total()
    assert sum(values(data, "Failures", **service)) == counted[True] == 410
    assert sum(values(data, "CallsPerTarget", **service)) == counted.total() / 2
    assert {datum.namespace for datum in data} == {"GrpcLb"}
    # One line of a service in each minute, at its beginning.
    minutes = [datum.at for datum in data if datum.name == "CallsPerTarget"]
    assert len(set(minutes)) == len(minutes) >= 3
    assert {minute % MINUTE for minute in minutes} == {0}
    # The facts stay one line an event.
    assert all(isinstance(json.loads(line).get("event"), str) for line in text.splitlines() if line.startswith("{"))


async def test_a_balancer_that_stops_tells_of_the_calls_since_the_last_minute(tmp_path: Path) -> None:
    """GIVEN calls of a minute that is not over, WHEN the balancer stops, Envoy first, THEN none of them is lost."""
    async with backends("a", "b") as (a, b):
        b.abort = grpc.StatusCode.INTERNAL
        env = {
            "GRPC_LB_TARGETS_FILE": str(targets_file(tmp_path, a, b)),
            "GRPC_LB_CLOUDWATCH_BALANCER": "Balancer",
            "MINUTE_SECONDS": "3600",
        }
        async with running_balancer(tmp_path / "state", "", env, module=SHORT_MINUTES) as balancer:
            await balancer.ready()
            async with grpc.aio.insecure_channel(balancer.address) as channel:
                counted = await outcomes(channel, 40)
            # A reading, such as there is one each second while Envoy drains.
            await asyncio.to_thread(httpx.get, f"http://127.0.0.1:{balancer.ports['web']}/metrics")
            balancer.process.send_signal(signal.SIGTERM)
            assert await balancer.exited() == 0
            data = metrics_in(balancer.log.read_text())

    assert sum(values(data, "Calls", Balancer="Balancer")) == counted.total() == 40
    assert sum(values(data, "Failures", Balancer="Balancer")) == counted[True]
    assert values(data, "ServingTargets", Balancer="Balancer")[-1] == 2


def test_every_line_is_one_that_cloudwatch_takes() -> None:
    """GIVEN services with and without figures, and an Envoy that is gone, THEN what is not known is left out."""
    whole = Figures(12, 3, calls_per_target=6.0, serving=2, draining=1, ejected=1, saturation=12.5, imbalance=1.25)
    services = {"orders": whole, "gone": Figures(5, 0)}
    text = "\n".join(lines("Shop/Balancer", "My/Space", services, BalancerState(0.5, None, 1, 2, None), at=120.0))
    data = metrics_in(text)
    assert len(emf_lines(text)) == 3
    orders = {"Balancer": "Shop/Balancer", "Service": "orders"}
    said = {datum.name: datum.value for datum in data if dict(datum.dimensions) == orders}
    assert said == {
        "Calls": 12,
        "Failures": 3,
        "CallsPerTarget": 6,
        "Imbalance": 1.25,
        "ServingTargets": 2,
        "EjectedTargets": 1,
        "Saturation": 12.5,
    }
    of_gone = [datum.name for datum in data if ("Service", "gone") in datum.dimensions]
    assert of_gone == ["Calls", "Failures"]
    of_balancer = {datum.name for datum in data if dict(datum.dimensions) == {"Balancer": "Shop/Balancer"}}
    assert "CallsPerTarget" not in of_balancer
    assert {"DrainingTargets", "TargetListAge", "EnvoyRestarts", "RejectedResources"} < of_balancer
    assert not {"ClientConnections", "EventToEnvoySeconds"} & of_balancer
    assert {datum.at for datum in data} == {120.0}


@pytest.mark.parametrize(
    ("calls", "failures", "percent"), [(1000, 50, 5.0), (10, 10, 100.0), (4, 4, 0.0), (0, 0, 0.0), (3, 6, 100.0)]
)
def test_the_percentage_of_failures_needs_some(calls: int, failures: int, percent: float) -> None:
    """GIVEN a small service beside a big one that is well, THEN its failures show, unless they are fewer than 5."""
    services = {"small": Figures(calls, failures), "big": Figures(10**6, 0)}
    data = metrics_in("\n".join(lines("Balancer", "GrpcLb", services, ALL_IS_WELL, at=60.0)))
    assert max(values(data, "FailurePercent", Balancer="Balancer")) == percent


def test_no_target_and_no_more_than_so_many_services_make_metrics_of_their_own() -> None:
    """GIVEN more services than have metrics of their own, THEN those of the balancer count all of them."""
    services = {f"service-{number:03}": Figures(1, 0, 1.0, 1, 0, 0, 0.0) for number in range(MAX_SERVICES + 10)}
    text = "\n".join(lines("Balancer", "GrpcLb", services, ALL_IS_WELL, at=60.0))
    data = metrics_in(text)
    own = {value for datum in data for name, value in datum.dimensions if name == "Service"}
    assert len(own) == MAX_SERVICES
    assert {name for datum in data for name, _ in datum.dimensions} == {"Balancer", "Service"}
    assert sum(values(data, "Calls", Balancer="Balancer")) == MAX_SERVICES + 10
    assert json.loads(text.splitlines()[-1])["services_without_metrics"] == 10


def test_a_line_stays_whole_in_a_pipe() -> None:
    """GIVEN the longest names there are, THEN a line has less than the 4 KiB that a pipe takes at once."""
    whole = Figures(10**9, 10**9, 10**9 / 7, 1000, 1000, 1000, 100 / 3, 1000 / 7)
    for line in lines(
        "b" * 255, "n" * 255, {"s" * 63: whole}, BalancerState(10**9 / 7, 10**9 / 7, 20, 50, 10**6), at=2e9
    ):
        assert len(line) < 4096


def test_a_line_stays_whole_in_a_pipe_whatever_clients_there_are() -> None:
    """GIVEN calls of 100 kinds of clients, THEN the line has those with the most, and the others together."""
    calls = [
        ProxylessCalls("s" * 63, f"{number:064}", f"C-core {number:0200}", outcome, 10**7 + number)
        for number in range(100)
        for outcome in ("dropped", "error", "ok")
    ]
    service = Figures(10**9, 10**9, 10**9 / 7, 1000, 1000, 1000, 100.0, 100 / 7)
    line = next(
        lines("b" * 255, "GrpcLb", {"s" * 63: service}, ALL_IS_WELL, at=1_790_000_000, proxyless={"s" * 63: calls})
    )
    assert len(line) < 4096
    told = json.loads(line)["proxyless"]
    assert [each["zone"] for each in told[:3]] == [f"{95:064}"] * 3
    assert [each for each in told if each["zone"] == "others"] == [
        {"zone": "others", "client": "others", outcome: sum(10**7 + number for number in range(95))}
        for outcome in ("dropped", "error", "ok")
    ]


def publisher(tmp_path: Path, write: Any, **more: Any) -> Publisher:
    state = ControlPlaneState()
    reconciler = Reconciler(SnapshotCache(), Ports("127.0.0.1", 1, 2), state)
    watcher = Watcher(EnvoyStatistics(tmp_path / "no-envoy.sock"), state.journal)
    return Publisher(reconciler, state, watcher, balancer="Balancer", namespace="GrpcLb", write=write, **more)


async def test_without_envoy_the_balancer_still_tells_how_old_its_targets_are(tmp_path: Path) -> None:
    written: list[str] = []
    started = time.monotonic()
    await publisher(tmp_path, written.append).tell(at=60.0)
    data = metrics_in("".join(written))
    assert 0 <= values(data, "TargetListAge", Balancer="Balancer")[0] <= time.monotonic() - started
    assert {datum.name for datum in data} >= {"EnvoyRestarts", "RejectedResources"}
    assert "Calls" not in {datum.name for datum in data}


async def test_how_long_a_change_took_to_envoy_is_told_once(tmp_path: Path) -> None:
    """GIVEN changes that Envoy took, THEN the slowest of the minute is told, and in the next minute none."""
    written: list[str] = []
    told = publisher(tmp_path, written.append)
    now = time.time()
    first = Change(now, "g", "ssm", 1, 1, 1, 0, 0, (), (), (), envoy_at=now)
    changes = [replace(first, event_to_envoy_seconds=seconds) for seconds in (0.9, 1.5, None)]
    told._state.journal.changes.extend(changes)
    await told.tell(at=60.0)
    assert values(metrics_in("".join(written)), "EventToEnvoySeconds", Balancer="Balancer") == [1.5]
    written.clear()
    await told.tell(at=120.0)
    assert values(metrics_in("".join(written)), "EventToEnvoySeconds", Balancer="Balancer") == []


async def test_a_stderr_that_is_closed_is_said_once_and_hurts_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def write(text: str) -> None:
        raise BrokenPipeError("nobody reads")

    told = publisher(tmp_path, write)
    await told.tell(at=60.0)
    await told.tell(at=120.0)
    assert logged(caplog, "metrics not written") == [{"problem": "nobody reads"}]


async def test_nothing_is_written_without_a_name(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        env = {"GRPC_LB_TARGETS_FILE": str(targets_file(tmp_path, a)), "MINUTE_SECONDS": "0.2"}
        async with running_balancer(tmp_path / "state", "", env, module=SHORT_MINUTES) as balancer:
            await balancer.ready()
            balancer.process.terminate()
            assert await balancer.exited() == 0
            assert emf_lines(balancer.log.read_text()) == []
