"""The way out of a balancer under real clients: no call fails, no stream is cut inside the drain time."""

import asyncio
import http.server
import logging
import os
import signal
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import grpc
import pytest

from proxy_image.envoy.admin import Admin
from proxy_image.supervisor import drain as drain_module
from proxy_image.supervisor.drain import DrainTimes, drain
from proxy_image.supervisor.supervisor import ONE_SIGNAL_SECONDS
from tests.proxy_image.balancer import (
    REAL,
    STATIC,
    Balancer,
    call,
    channel,
    count_ticks,
    running_balancer,
    running_server,
    until,
)
from tests.waiting import PATIENCE_SECONDS


class Load:
    """Clients that call one after the other, each on a connection of its own, until told to stop."""

    def __init__(self, *addresses: str, pauses: tuple[float, ...]) -> None:
        self.calls = Counter[int]()
        """Of each client."""
        self.failures: list[str] = []
        self._stop = asyncio.Event()
        self._clients = [
            asyncio.create_task(self._client(number, addresses, pause)) for number, pause in enumerate(pauses)
        ]

    async def _client(self, number: int, addresses: tuple[str, ...], pause: float) -> None:
        async with channel(*addresses) as on:
            while not self._stop.is_set():
                try:
                    await call(on)
                    self.calls[number] += 1
                except grpc.RpcError as error:
                    self.failures.append(str(error))
                await asyncio.sleep(pause)

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._clients)


@pytest.mark.parametrize("module", [STATIC, REAL])
async def test_no_call_fails_while_a_balancer_drains_under_load(tmp_path: Path, module: str) -> None:
    # GIVEN busy clients and slow ones, that come back to the balancer for as long as it listens, and one that is idle
    async with (
        running_server() as target,
        running_balancer(
            tmp_path, target, module=module, GRPC_LB_DRAIN_DELAY_SECONDS="600", GRPC_LB_DRAIN_SECONDS="20"
        ) as balancer,
        channel(balancer.address, target) as idle,
    ):
        await balancer.ready()
        await call(idle)
        load = Load(balancer.address, target, pauses=(0.02, 0.02, 0.02, 0.2, 0.7, 1.1))
        await until(lambda: len(load.calls) == 6, "a call of each client")
        assert balancer.admin.activity().connections == 7

        # WHEN the balancer is told to stop, and, so that there is time to look, once more to send clients away
        balancer.process.terminate()
        await balancer.event("readiness fails, serving on")
        await until(lambda: balancer.readiness() == 503, "readiness that fails")
        await asyncio.sleep(2 * ONE_SIGNAL_SECONDS)
        assert balancer.admin.activity().connections == 7, "failing readiness alone sends nobody away"
        before = load.calls.copy()
        balancer.process.terminate()
        sent_away = await balancer.event("sending clients away")

        # THEN it ends in order, well before the time for it is over, as nobody is left
        assert await balancer.exited() == 0
        drained = balancer.events("drained")[0]
        assert drained["calls_left"] == 0
        assert drained["seconds"] < sent_away["at_most_seconds"]
        order = [event["event"] for event in balancer.events() if event["source"] == "supervisor"]
        assert order[-7:] == [
            "told to stop",
            "readiness fails, serving on",
            "told to stop",
            "sending clients away",
            "no new connections",
            "drained",
            "stopped",
        ]
        # AND no call failed, neither of the busy nor of the idle
        await call(idle)
        await load.stop()
        assert load.failures == []
        assert all(load.calls[client] > calls for client, calls in before.items())


@pytest.mark.parametrize("module", [STATIC, REAL])
async def test_an_idle_client_is_sent_away_before_the_end(tmp_path: Path, module: str) -> None:
    async with (
        running_server() as target,
        running_balancer(tmp_path, target, module=module, GRPC_LB_DRAIN_SECONDS="20") as balancer,
        channel(balancer.address) as idle,
    ):
        await balancer.ready()
        await call(idle)
        balancer.process.terminate()
        # THEN nobody is connected when the balancer drains no longer, though the client made no call
        assert (await balancer.event("drained"))["connections_left"] == 0
        await until(lambda: idle.get_state() == grpc.ChannelConnectivity.IDLE, "a client that knows it")


async def test_invariant_8_a_drain_never_cuts_a_stream_inside_the_drain_time(tmp_path: Path) -> None:
    # GIVEN streams that last longer than it takes to send clients away, and shorter than the drain time
    async with (
        running_server() as target,
        running_balancer(tmp_path, target, GRPC_LB_DRAIN_SECONDS="20") as balancer,
        channel(balancer.address) as client,
    ):
        await balancer.ready()
        streams = [asyncio.create_task(count_ticks(client, ticks)) for ticks in (65, 75, 85)]
        await _requests(balancer, 3)

        # WHEN the balancer is told to stop, THEN each stream gets its last message
        balancer.process.terminate()
        assert await asyncio.gather(*streams) == [65, 75, 85]
        # AND the balancer ends after the last, with time left
        assert await balancer.exited() == 0
        (drained,) = balancer.events("drained")
        assert drained["calls_left"] == 0
        assert drained["seconds"] < balancer.events("sending clients away")[0]["at_most_seconds"]


async def test_a_drain_lasts_no_longer_than_its_times(tmp_path: Path) -> None:
    # GIVEN a stream without an end
    async with (
        running_server() as target,
        running_balancer(tmp_path, target, GRPC_LB_DRAIN_SECONDS="1") as balancer,
        channel(balancer.address) as client,
    ):
        await balancer.ready()
        stream = asyncio.create_task(count_ticks(client, 10_000))
        await _requests(balancer, 1)
        started = time.monotonic()
        balancer.process.terminate()
        assert await balancer.exited() == 0
        assert time.monotonic() - started >= 1.3
        assert balancer.events("drained")[0]["calls_left"] == 1
        assert isinstance((await asyncio.gather(stream, return_exceptions=True))[0], grpc.RpcError)


async def test_each_further_signal_hastens_the_drain(tmp_path: Path) -> None:
    # GIVEN a drain that would take minutes
    times = {"GRPC_LB_DRAIN_DELAY_SECONDS": "600", "GRPC_LB_DRAIN_SECONDS": "600"}
    async with (
        running_server() as target,
        running_balancer(tmp_path, target, times) as balancer,
        channel(balancer.address) as client,
    ):
        await balancer.ready()
        stream = asyncio.create_task(count_ticks(client, 10_000))
        await _requests(balancer, 1)
        balancer.process.send_signal(signal.SIGTERM)
        await balancer.event("readiness fails, serving on")
        # WHEN it is told again, and again, THEN each step is cut short; the same signal twice at once counts as one
        for count, step in enumerate(("sending clients away", "no new connections", "drained"), start=2):
            await asyncio.sleep(0.6)
            balancer.process.send_signal(signal.SIGTERM)
            await balancer.event("told to stop", count=count)
            await balancer.event(step)
        assert await balancer.exited() == 0
        await asyncio.gather(stream, return_exceptions=True)


async def test_the_control_plane_is_there_until_envoy_has_ended(tmp_path: Path) -> None:
    async with (
        running_server() as target,
        running_balancer(tmp_path, target, GRPC_LB_DRAIN_SECONDS="600") as balancer,
    ):
        await balancer.ready()
        # WHEN the control plane dies in a drain, which a stream without an end holds up, THEN it comes back
        async with channel(balancer.address) as client:
            stream = asyncio.create_task(count_ticks(client, 10_000))
            await _requests(balancer, 1)
            balancer.process.terminate()
            await balancer.event("sending clients away")
            pid = balancer.events("control plane started")[0]["pid"]
            os.kill(pid, signal.SIGKILL)
            await balancer.event("control plane started", count=2)
            assert not stream.done()
            stream.cancel()
            await asyncio.gather(stream, return_exceptions=True)
        await asyncio.sleep(ONE_SIGNAL_SECONDS)  # told twice sooner, it would be told once
        balancer.process.terminate()
        assert await balancer.exited() == 0


async def test_a_drain_ends_when_envoy_dies(tmp_path: Path) -> None:
    async with (
        running_server() as target,
        running_balancer(tmp_path, target, GRPC_LB_DRAIN_DELAY_SECONDS="600") as balancer,
    ):
        await balancer.ready()
        balancer.process.terminate()
        await balancer.event("readiness fails, serving on")
        os.kill(balancer.events("envoy started")[0]["pid"], signal.SIGKILL)
        assert await balancer.exited() == 0
        assert len(balancer.events("envoy started")) == 1


async def test_a_balancer_without_targets_yet_stops_at_once(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    absent.touch()
    environment = {"ABSENT": str(absent), "GRPC_LB_DRAIN_DELAY_SECONDS": "600"}
    async with running_balancer(tmp_path / "state", "127.0.0.1:1", environment) as balancer:
        await balancer.event("control plane stopped", count=2)
        balancer.process.send_signal(signal.SIGINT)
        assert await balancer.exited() == 0
        assert len(balancer.events("nothing to drain, no listener yet")) == 1


class LateEnvoy(http.server.BaseHTTPRequestHandler):
    """Envoy's admin, where each request is answered only the third time; it takes a failed one for not made."""

    asked: ClassVar[Counter[str]] = Counter()
    done: ClassVar[list[str]] = []

    def answer(self) -> None:
        body = b"calls::127.0.0.1:1" if self.path == "/listeners" else b'{"stats":[]}'
        self.asked[self.path] += 1
        is_late = self.command == "POST" and self.asked[self.path] < 3
        if self.command == "POST" and not is_late:
            self.done.append(self.path)
        self.send_response(503 if is_late else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815 - http.server's names

    def address_string(self) -> str:
        return "a unix socket"  # has no address


@contextmanager
def late_envoy(path: Path) -> Iterator[Admin]:
    LateEnvoy.asked.clear()
    LateEnvoy.done.clear()
    server = socketserver.ThreadingUnixStreamServer(str(path), LateEnvoy)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Admin(path)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_each_step_is_repeated_until_envoy_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "_LOOK_SECONDS", 0.02)
    # GIVEN an envoy whose main thread is late: each request succeeds only the third time
    with late_envoy(tmp_path / "admin.sock") as admin:
        started = time.monotonic()
        await drain(admin, DrainTimes(delay=2, move=1, drain=PATIENCE_SECONDS), asyncio.Event())
        # THEN all of them are made, in order, GOAWAY too, after the delay, and nothing is waited for after that
        assert LateEnvoy.done == ["/healthcheck/fail", "/drain_listeners?graceful&skip_exit", "/drain_listeners"]
        assert 2 <= time.monotonic() - started < PATIENCE_SECONDS


async def test_a_step_that_envoy_never_takes_ends_with_its_time_or_when_hastened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    # GIVEN an envoy that is gone, behind an admin that listened once
    with late_envoy(tmp_path / "admin.sock") as admin:
        draining = asyncio.create_task(
            drain(admin, DrainTimes(delay=0.5, move=1, drain=1000), hasten := asyncio.Event())
        )
        await asyncio.sleep(0)
    # WHEN nobody answers, THEN readiness is given up after its time, and the others go on until hastened
    for told in ("sending clients away", "no new connections", "no statistics"):
        await until(lambda told=told: told in caplog.messages, told)  # type: ignore[misc]
        assert not draining.done()
        hasten.set()
    await asyncio.wait_for(draining, PATIENCE_SECONDS)
    # AND each step says so once
    assert [record.message for record in caplog.records].count("drain step failed") == 3


def test_the_time_to_send_clients_away_is_a_part_of_the_drain() -> None:
    assert DrainTimes.of(5, 30) == DrainTimes(delay=5, move=7, drain=30)
    assert DrainTimes.of(5, 600) == DrainTimes(delay=5, move=31, drain=600)
    assert DrainTimes.of(0, 3) == DrainTimes(delay=0, move=3, drain=3)
    assert DrainTimes.of(0, 0) == DrainTimes(delay=0, move=0, drain=0)


async def _requests(balancer: Balancer, count: int) -> None:
    await until(lambda: balancer.admin.activity().requests >= count, f"{count} calls")
