"""The cost of telemetry in Envoy: CPU time of a call with statistics, traces or an access log, beside none.

    python benchmarks/telemetry_cost.py [--rounds 60] [--calls 384] [--each 3]

A few Envoys for each way, all with the balancer's own configuration and one worker thread, before the same gRPC server;
the load is unary calls on 8 connections with 16 streams each. The Envoys take turns, a few hundred calls at a time and
each round in another order, so that whatever else the machine does hits all of them alike. A figure is the mean of the
turns without the dearest quarter; the ratio is to those with all off, and how far Envoys of one way differ from each
other says what chance makes of it. Linux only: it reads the clocks of other processes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import grpc  # noqa: E402 - whoever runs a file has its folder alone on the path

from grpc_lb_contract import Document, Group, Route, Service, Target, TargetState  # noqa: E402
from proxy_image.control_plane.state import ControlPlaneState  # noqa: E402
from proxy_image.control_plane.stats.watcher import EnvoyStatistics  # noqa: E402
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService  # noqa: E402
from proxy_image.control_plane.xds.cache import SnapshotCache  # noqa: E402
from proxy_image.control_plane.xds.envoy.listeners import Ports  # noqa: E402
from proxy_image.control_plane.xds.snapshot_maker import snapshot  # noqa: E402
from proxy_image.envoy.binary import find_envoy  # noqa: E402
from proxy_image.envoy.bootstrap import Node, arguments, bootstrap, to_json  # noqa: E402
from proxy_image.settings import Settings, from_environment  # noqa: E402

CONNECTIONS, STREAMS = 8, 16
METHOD = "/benchmark.Echo/Echo"
OFF = {"GRPC_LB_CALL_STATISTICS": "off"}
ALL_OFF = "all off"
Call = Callable[[bytes], Awaitable[bytes]]
READ_SECONDS = 1.0
READY_SECONDS = 30.0
FIRST_PORT = 21_000
CHEAPER = 0.75

SERVER = """
import asyncio, sys, grpc

async def serve(service, method, answer):
    async def handle(request, context):
        return answer
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(handle)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()

asyncio.run(serve(sys.argv[1], sys.argv[2], b"x" if sys.argv[3] == "x" else b""))
"""


@dataclass(frozen=True, slots=True)
class Way:
    """What is on; statistics are read as often as a page does that someone looks at."""

    settings: Mapping[str, str]
    is_read: bool = False


def ways(collector: int) -> dict[str, Way]:
    traced = {**OFF, "GRPC_LB_TRACING_COLLECTOR": f"127.0.0.1:{collector}"}
    return {
        ALL_OFF: Way(OFF),
        "statistics by service": Way({"GRPC_LB_CALL_STATISTICS": "services"}),
        "statistics by service, read each second": Way({"GRPC_LB_CALL_STATISTICS": "services"}, is_read=True),
        "statistics by method": Way({"GRPC_LB_CALL_STATISTICS": "methods"}),
        "traces, 1 %": Way({**traced, "GRPC_LB_TRACING_PERCENT": "1"}),
        "traces, 100 %": Way({**traced, "GRPC_LB_TRACING_PERCENT": "100"}),
        "access log, failures (of which there are none)": Way({**OFF, "GRPC_LB_ACCESS_LOG": "failures"}),
        "access log, 1 %": Way({**OFF, "GRPC_LB_ACCESS_LOG": "sampled"}),
        "access log, all": Way({**OFF, "GRPC_LB_ACCESS_LOG": "all"}),
    }


@dataclass(slots=True)
class Running:
    """A way with its Envoy. `turns`: microseconds of CPU a call."""

    way: Way
    pid: int
    statistics: EnvoyStatistics
    calls: Sequence[Call]
    turns: list[float] = field(default_factory=list)
    unread: float = 0.0

    async def turn(self, calls: int) -> float:
        began, cpu = time.perf_counter(), cpu_of(self.pid)
        await load(self.calls, calls)
        self.unread += time.perf_counter() - began
        if self.way.is_read and self.unread >= READ_SECONDS:
            self.unread = 0.0
            await asyncio.to_thread(self.statistics.reading)
        return (cpu_of(self.pid) - cpu) / calls * 1e6


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used, by its own clock: CPUCLOCK_SCHED of clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid) << 3 | 2)


async def load(methods: Sequence[Call], calls: int) -> None:
    async def one_after_the_other(method: Call) -> None:
        for _ in range(calls // (CONNECTIONS * STREAMS)):
            await method(b"hello")

    await asyncio.gather(*(one_after_the_other(method) for method in methods for _ in range(STREAMS)))


@contextlib.contextmanager
def server(method: str, answer: str) -> Iterator[int]:
    _, service, name = method.split("/")
    command = [sys.executable, "-c", SERVER, service, name, answer]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@asynccontextmanager
async def running(way: Way, number: int, target: int) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grpc-lb-")))
        settings = settings_of(way, state, FIRST_PORT + 4 * number)
        service = AdsService(cache := SnapshotCache(), observer := ControlPlaneState(), observer.clients)
        await stack.enter_async_context(AdsServer(service, settings.ads_socket))
        where = Target("127.0.0.1", target, "", TargetState.SERVING, "echo", "task")
        document = Document((Service("echo", (Route(),), (Group("echo"),), (where,)),))
        ports = Ports(settings.bind_address, settings.port, settings.ready_port)
        await cache.publish(snapshot(document, ports, telemetry=settings.telemetry))
        config = state / "envoy.json"
        config.write_text(to_json(bootstrap(settings, Node("benchmark", "benchmark", ""), descriptors=10_000)))
        command = [str(find_envoy(None)), *arguments(settings, config, concurrency=1)]
        log = stack.enter_context((state / "log").open("wb"))
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        stack.callback(process.kill)
        channels = [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(f"127.0.0.1:{settings.port}", options=[("grpc.use_local_subchannel_pool", 1)])
            )
            for _ in range(CONNECTIONS)
        ]
        async with asyncio.timeout(READY_SECONDS):
            for channel in channels:
                await channel.channel_ready()
        methods: list[Any] = [channel.unary_unary(METHOD) for channel in channels]
        yield Running(way, process.pid, EnvoyStatistics(settings.admin_socket), methods)


def settings_of(way: Way, state: Path, port: int) -> Settings:
    ports = dict(zip(("PORT", "READY_PORT", "WEB_PORT", "XDS_PORT"), range(port, port + 4), strict=True))
    env = {f"GRPC_LB_{name}": str(number) for name, number in ports.items()}
    env |= {"GRPC_LB_TARGETS_FILE": "none", "BIND_ADDRESS": "127.0.0.1", "GRPC_LB_STATE_DIR": str(state)}
    settings = from_environment({**env, **way.settings})
    settings.run_dir.mkdir()
    return settings


def cheaper(turns: list[float]) -> float:
    """The mean without the dearest quarter."""
    return statistics.mean(sorted(turns)[: max(1, round(len(turns) * CHEAPER))])


async def measure(rounds: int, calls: int, each: int) -> dict[str, list[list[float]]]:
    """Of each way, the turns of each of its Envoys."""
    async with AsyncExitStack() as stack:
        target = stack.enter_context(server(METHOD, "x"))
        # An empty answer is a whole ExportTraceServiceResponse.
        export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        collector = stack.enter_context(server(export, ""))
        envoys: dict[str, list[Running]] = {}
        for name, way in ways(collector).items():
            for _ in range(each):
                number = sum(map(len, envoys.values()))
                running_one = await stack.enter_async_context(running(way, number, target))
                envoys.setdefault(name, []).append(running_one)
        every = [envoy for of_way in envoys.values() for envoy in of_way]
        for envoy in every:
            await envoy.turn(calls)
        for number in range(1, rounds + 1):
            for envoy in random.sample(every, len(every)):
                envoy.turns.append(await envoy.turn(calls))
            if number % 10 == 0:
                off = cheaper([turn for envoy in envoys[ALL_OFF] for turn in envoy.turns])
                print(f"round {number} of {rounds}: {off:.1f} µs a call with all off", flush=True)
        return {name: [envoy.turns for envoy in of_way] for name, of_way in envoys.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60, metavar="N", help="turns of each Envoy (default 60)")
    parser.add_argument("--calls", type=int, default=384, metavar="N", help="calls of a turn (default 384)")
    parser.add_argument("--each", type=int, default=3, metavar="N", help="Envoys of each way (default 3)")
    given = parser.parse_args()
    for name, value in (("rounds", given.rounds), ("each", given.each)):
        if value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    if given.calls < CONNECTIONS * STREAMS or given.calls % (CONNECTIONS * STREAMS):
        parser.error(f"--calls must be a multiple of {CONNECTIONS * STREAMS}, got {given.calls}")
    turns = asyncio.run(measure(given.rounds, given.calls, given.each))
    off = statistics.mean(map(cheaper, turns[ALL_OFF]))
    for name, of_way in turns.items():
        each = [cheaper(taken) for taken in of_way]
        mean, least, most = statistics.mean(each), min(each) / off, max(each) / off
        print(f"{mean:6.1f} µs of CPU a call, {mean / off:.2f} of all off ({least:.2f} to {most:.2f}): {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
