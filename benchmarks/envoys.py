"""Envoys that take turns under the same load, so that whatever else the machine does slows all of them alike.

Each has one worker thread; all have one server behind them (nghttpd, which answers with a file and grpc-status 0).
The load is unary calls by h2load, on 8 connections with 16 streams each. Linux only: it reads the clocks of other
processes. Debian's packages are nghttp2-client and nghttp2-server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import copy
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from grpc_lb_contract import Document, Group, Route, Service, Target, TargetState  # noqa: E402
from proxy_image.control_plane.state import ControlPlaneState  # noqa: E402
from proxy_image.control_plane.stats.watcher import EnvoyStatistics  # noqa: E402
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService  # noqa: E402
from proxy_image.control_plane.xds.cache import SnapshotCache  # noqa: E402
from proxy_image.control_plane.xds.envoy.listeners import Ports  # noqa: E402
from proxy_image.control_plane.xds.snapshot_maker import snapshot  # noqa: E402
from proxy_image.envoy.binary import environment, find_envoy  # noqa: E402
from proxy_image.envoy.bootstrap import Node, bootstrap, to_json  # noqa: E402
from proxy_image.envoy.command_line import arguments  # noqa: E402
from proxy_image.settings import Settings, from_environment  # noqa: E402

CONNECTIONS, STREAMS = 8, 16
PATH = "benchmark.Echo/Echo"
METHOD = f"/{PATH}"
MEMORY = 2**30
READY_SECONDS = 30.0
READ_SECONDS = 1.0
REQUEST, ANSWER = b"\0\0\0\0\5hello", b"\0\0\0\0\1x"
HEADERS = ("content-type: application/grpc", "te: trailers", "user-agent: grpc-python/1.85")

Bootstrap = dict[str, Any]


def as_it_is(config: Bootstrap) -> None: ...


@dataclass(frozen=True, slots=True)
class Way:
    """The balancer's Envoy with these settings, and with one thing of its bootstrap changed; or, by a function of its
    own port and the server's, a whole other configuration. `is_read`: its statistics are read each second, as by a page
    that someone looks at.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    change: Callable[[Bootstrap], None] = as_it_is
    other: Callable[[int, int], Bootstrap] | None = None
    is_read: bool = False


@dataclass(slots=True)
class Envoy:
    """`turns`: microseconds of CPU a call."""

    pid: int
    port: int
    statistics: EnvoyStatistics | None = None
    turns: list[float] = field(default_factory=list)
    unread: float = 0.0

    def turn(self, calls: int) -> None:
        began, cpu = time.perf_counter(), cpu_of(self.pid)
        load(self.port, calls)
        self.unread += time.perf_counter() - began
        if self.statistics is not None and self.unread >= READ_SECONDS:
            self.unread = 0.0
            self.statistics.reading()
        self.turns.append((cpu_of(self.pid) - cpu) / calls * 1e6)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used, by its own clock: CPUCLOCK_SCHED of clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid) << 3 | 2)


def tool(name: str, package: str) -> str:
    if (found := shutil.which(name)) is None:
        sys.exit(f"{name} must be installed, it is not: apt install {package}")
    return found


def load(port: int, calls: int) -> None:
    """Raises RuntimeError where a call fails."""
    with tempfile.NamedTemporaryFile() as request:
        request.write(REQUEST)
        request.flush()
        command = [tool("h2load", "nghttp2-client"), "-n", str(calls), "-c", str(CONNECTIONS), "-m", str(STREAMS)]
        command += ["-d", request.name, *(part for header in HEADERS for part in ("-H", header))]
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{port}{METHOD}"], capture_output=True, text=True, check=True
        )
    if f" {calls} succeeded" not in done.stdout:
        raise RuntimeError(f"{calls} calls must succeed:\n{done.stdout}")


@contextlib.contextmanager
def server() -> Iterator[int]:
    """Yields its port."""
    with tempfile.TemporaryDirectory(prefix="grpc-lb-") as folder:
        (answer := Path(folder) / PATH).parent.mkdir()
        answer.write_bytes(ANSWER)
        command = [tool("nghttpd", "nghttp2-server"), "--no-tls", "--address", "127.0.0.1", "--htdocs", folder]
        command += ["--max-concurrent-streams", "1000", "--trailer", "grpc-status: 0", str(port := free_port())]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield port
        finally:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def settings_of(way: Way, state: Path) -> Settings:
    env = {f"GRPC_LB_{name}": str(free_port()) for name in ("PORT", "READY_PORT", "WEB_PORT", "XDS_PORT")}
    env |= {"GRPC_LB_TARGETS_FILE": "none", "BIND_ADDRESS": "127.0.0.1", "GRPC_LB_STATE_DIR": str(state)}
    settings = from_environment({**env, **way.variables})
    settings.run_dir.mkdir()
    return settings


@asynccontextmanager
async def running(way: Way, target: int) -> AsyncIterator[Envoy]:
    async with AsyncExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grpc-lb-")))
        settings = settings_of(way, state)
        config = state / "envoy.json"
        if way.other is not None:
            config.write_text(json.dumps(way.other(settings.port, target)))
            command = ["--config-path", str(config), "--concurrency", "1", "--disable-hot-restart"]
        else:
            service = AdsService(cache := SnapshotCache(), observer := ControlPlaneState(), observer.clients)
            await stack.enter_async_context(AdsServer(service, settings.ads_socket))
            where = Target("127.0.0.1", target, "", TargetState.SERVING, "echo", "task")
            document = Document((Service("echo", (Route(),), (Group("echo"),), (where,)),))
            ports = Ports(settings.bind_address, settings.port, settings.ready_port)
            await cache.publish(snapshot(document, ports, telemetry=settings.telemetry))
            node = Node("benchmark", "benchmark", "")
            own = copy.deepcopy(bootstrap(settings, node, descriptors=10_000, memory=MEMORY))
            way.change(own)
            config.write_text(to_json(own))
            command = list(arguments(settings, config, concurrency=1))
        env = environment(os.environ) if way.other is None else None
        log = stack.enter_context((state / "log").open("wb"))
        process = await asyncio.create_subprocess_exec(str(find_envoy(None)), *command, stdout=log, stderr=log, env=env)
        stack.callback(process.kill)
        await asyncio.to_thread(_wait_for_answers, settings.port)
        yield Envoy(process.pid, settings.port, EnvoyStatistics(settings.admin_socket) if way.is_read else None)


def _wait_for_answers(port: int) -> None:
    until = time.monotonic() + READY_SECONDS
    while True:
        try:
            return load(port, CONNECTIONS * STREAMS)
        except (RuntimeError, subprocess.CalledProcessError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


async def measure(ways: Mapping[str, Way], rounds: int, calls: int, each: int) -> dict[str, list[Envoy]]:
    """Of each way its Envoys, after so many turns of each."""
    async with AsyncExitStack() as stack:
        target = stack.enter_context(server())
        envoys: dict[str, list[Envoy]] = {name: [] for name in ways}
        for name, way in ways.items():
            for _ in range(each):
                envoys[name].append(await stack.enter_async_context(running(way, target)))
        every = [envoy for of_way in envoys.values() for envoy in of_way]
        for number in range(1, rounds + 1):
            for envoy in random.sample(every, len(every)):
                await asyncio.to_thread(envoy.turn, calls)
            if number % 10 == 0:
                print(f"round {number} of {rounds}", flush=True)
        return envoys


def report(envoys: Mapping[str, list[Envoy]]) -> Iterator[str]:
    """A line for each way: the median of its ratios to the first way in the same round, and of each of its Envoys."""
    name_of_first, first = next(iter(envoys.items()))
    base = [statistics.median(turns) for turns in zip(*(envoy.turns for envoy in first), strict=True)]
    for name, of_way in envoys.items():
        ratios = [[turn / of for turn, of in zip(envoy.turns, base, strict=True)] for envoy in of_way]
        ratio = statistics.median(one for of_envoy in ratios for one in of_envoy)
        cost = statistics.median(turn for envoy in of_way for turn in envoy.turns)
        each = ", ".join(f"{statistics.median(of_envoy):.2f}" for of_envoy in ratios)
        yield f"{cost:6.1f} µs of CPU a call, {ratio:.2f} × {name_of_first} (its Envoys: {each}): {name}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name, default, what in (
        ("rounds", 30, "turns of each Envoy"),
        ("calls", 3000, "calls of a turn"),
        ("each", 3, "Envoys of each way"),
    ):
        parser.add_argument(f"--{name}", type=_count, default=default, metavar="N", help=f"{what} (default: {default})")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text}")
    return int(text)
