"""What a call costs a client that goes to one task, to two by its own `round_robin`, to two without a proxy (xDS), and
through the balancer; and how a control plane without Envoy does with a thousand xDS clients and a quarter of a CPU.

    python benchmarks/proxyless.py [--rounds 40] [--calls 200] [--clients 1000] [--cpu 0.25]

One grpcio client makes unary calls one at a time, in turns between the ways, so that whatever else the machine does
hits all of them alike. Calls a second and CPU of the client are of the turns without the dearest quarter; the ratio is
to `round_robin`. The control plane is a balancer's own process. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from grpc_server import METHOD, server
from running_balancer import (  # it puts the packages on the path
    Balancer,
    ParameterStore,
    balancer,
    seconds_until,
)
from xds_clients import measure_clients

from grpc_lb_contract import Document, Group, Route, Service, Target, TargetState, pack
from grpc_lb_contract.proxyless import BOOTSTRAP, bootstrap, xds_target

CHEAPER = 0.75
ROUND_ROBIN = "two tasks, its own round_robin"


@dataclass(slots=True)
class Way:
    call: Callable[..., bytes]
    seconds: list[float] = field(default_factory=list)
    turns: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def turn(self, calls: int) -> None:
        cpu, began = time.process_time(), time.perf_counter()
        for _ in range(calls):
            at = time.perf_counter()
            self.call(b"hello", timeout=10)
            self.seconds.append(time.perf_counter() - at)
        self.turns.append((time.perf_counter() - began) / calls)
        self.cpu.append((time.process_time() - cpu) / calls)


def document(ports: list[int], weight: int = 1) -> Document:
    targets = tuple(Target("127.0.0.1", port, "", TargetState.SERVING, "echo", f"task-{port}") for port in ports)
    return Document((Service("echo", (Route(),), (Group("echo", weight),), targets),))


def ways(stack: ExitStack, ports: list[int], running: Balancer) -> dict[str, Way]:
    def way(target: str, policy: str | None = None) -> Way:
        options = [("grpc.use_local_subchannel_pool", 1)]
        if policy is not None:
            options.append(("grpc.service_config", f'{{"loadBalancingConfig": [{{"{policy}": {{}}}}]}}'))  # type: ignore[arg-type]  # gRPC takes both
        channel = stack.enter_context(grpc.insecure_channel(target, options))
        call: Any = channel.unary_unary(METHOD)
        # grpcio 1.85 does not let go of a waiting call that began before the control plane answered.
        seconds_until(lambda: is_answered(call), time.monotonic())
        return Way(call)

    both = ",".join(f"127.0.0.1:{port}" for port in ports)
    return {
        "one task": way(f"127.0.0.1:{ports[0]}"),
        ROUND_ROBIN: way(f"ipv4:{both}", "round_robin"),
        "two tasks, without a proxy (xDS)": way(xds_target("echo")),
        "through the balancer": way(f"127.0.0.1:{running.port}"),
    }


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def is_answered(call: Callable[..., bytes]) -> bool:
    try:
        call(b"", timeout=1)
    except grpc.RpcError:
        return False
    return True


def cheaper(turns: list[float]) -> float:
    return statistics.mean(sorted(turns)[: max(1, round(len(turns) * CHEAPER))])


def measure(rounds: int, calls: int, ports: list[int], running: Balancer) -> None:
    with ExitStack() as stack:
        found = ways(stack, ports, running)
        for way in found.values():
            way.turn(calls)
            way.seconds, way.turns, way.cpu = [], [], []
        for number in range(1, rounds + 1):
            for way in random.sample([*found.values()], len(found)):
                way.turn(calls)
            if number % 10 == 0:
                print(f"round {number} of {rounds}", flush=True)
        base = cheaper(found[ROUND_ROBIN].turns)
        for name, way in found.items():
            p50, p99 = (1e6 * statistics.quantiles(way.seconds, n=100)[each] for each in (49, 98))
            took, cpu = cheaper(way.turns), 1e6 * cheaper(way.cpu)
            print(
                f"{1 / took:7.0f} calls/s ({base / took:.2f} of round_robin), p50 {p50:5.0f} µs, p99 {p99:6.0f} µs, "
                f"client CPU {cpu:4.0f} µs a call: {name}"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--rounds", type=int, default=40, metavar="N", help="turns of each way (default 40), 0 for none"
    )
    parser.add_argument("--calls", type=int, default=200, metavar="N", help="calls of a turn (default 200)")
    parser.add_argument("--clients", type=int, default=1000, metavar="N", help="xDS clients, at most 1000 (default)")
    parser.add_argument(
        "--cpu", type=float, default=0.25, metavar="CPUS", help="the control plane's share of a CPU (default 0.25)"
    )
    given = parser.parse_args()
    if not 0.05 <= given.cpu <= 1:
        parser.error(f"--cpu must be 0.05..1, got {given.cpu:g}")
    for name, value, most in (
        ("rounds", given.rounds, 10_000),
        ("calls", given.calls, 100_000),
        ("clients", given.clients, 1000),
    ):
        least = 0 if name == "rounds" else 1
        if not least <= value <= most:
            parser.error(f"--{name} must be {least}..{most}, got {value}")
    with ExitStack() as stack:
        ports = [stack.enter_context(server(METHOD, "x")) for _ in range(2)]
        store = ParameterStore()
        stack.callback(store.shutdown)
        stack.callback(store.server_close)
        from threading import Thread

        Thread(target=store.serve_forever, daemon=True).start()
        store.publish(pack(document(ports)))
        if given.rounds:
            with balancer(store) as running:
                os.environ[BOOTSTRAP] = bootstrap([f"127.0.0.1:{running.xds_port}"], "benchmark")
                measure(given.rounds, given.calls, ports, running)
        with balancer(store, "--envoy", "false") as alone:
            seconds_until(lambda: is_listening(alone.xds_port), time.monotonic())
            documents = document(ports), document(ports[:1])
            asyncio.run(measure_clients(given.clients, store, alone, given.cpu, documents))
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main())
