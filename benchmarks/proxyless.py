"""What a call costs a client that goes to one task, to two by its own `round_robin`, to two without a proxy (xDS), and
through the balancer; and what a thousand xDS clients cost the control plane.

    python benchmarks/proxyless.py [--rounds 40] [--calls 200] [--clients 1000]

One grpcio client makes unary calls one at a time, in turns between the ways, so that whatever else the machine does
hits all of them alike. Calls a second and CPU of the client are of the turns without the dearest quarter; the ratio is
to `round_robin`. The control plane is a balancer's own process. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from running_balancer import (  # it puts the packages on the path
    PATIENCE_SECONDS,
    Balancer,
    ParameterStore,
    balancer,
    seconds_until,
)
from telemetry_cost import METHOD, server

from grpc_lb_contract import Document, Group, Route, Service, Target, TargetState, pack
from grpc_lb_contract.proxyless import BOOTSTRAP, bootstrap, xds_target
from proxy_image.control_plane.xds.ads_server import METHOD as STREAM
from proxy_image.control_plane.xds.ads_server import SERVICE as ADS
from proxy_image.control_plane.xds.resource_types import ResourceType

CHEAPER = 0.75
ROUND_ROBIN = "two tasks, its own round_robin"
CLIENTS_A_CONNECTION = 50


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


async def measure_clients(clients: int, store: ParameterStore, ports: list[int], running: Balancer) -> None:
    """So many ADS streams that follow the endpoints of one service, and one change."""
    channels = [
        grpc.aio.insecure_channel(f"127.0.0.1:{running.xds_port}", options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(-(-clients // CLIENTS_A_CONNECTION))
    ]
    memory, cpu = running.resident_mib(), running.cpu_seconds()
    streams = [
        channels[number // CLIENTS_A_CONNECTION].stream_stream(
            f"/{ADS}/{STREAM}",
            request_serializer=discovery_pb2.DiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DiscoveryResponse.FromString,
        )()
        for number in range(clients)
    ]
    url = ResourceType.ENDPOINTS.url

    async def subscribe(stream: Any) -> None:
        request = discovery_pb2.DiscoveryRequest(type_url=url, resource_names=["echo"])
        request.node.user_agent_name, request.node.user_agent_version = "gRPC C-core", "C-core 58.0.0"
        await stream.write(request)
        await acknowledge(stream)

    async def acknowledge(stream: Any) -> None:
        answer = await stream.read()
        await stream.write(
            discovery_pb2.DiscoveryRequest(
                type_url=url, resource_names=["echo"], response_nonce=answer.nonce, version_info=answer.version_info
            )
        )

    began = time.perf_counter()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*map(subscribe, streams))
    connected, joined = time.perf_counter() - began, running.cpu_seconds() - cpu
    cpu = running.cpu_seconds()
    reading = [asyncio.ensure_future(acknowledge(stream)) for stream in streams]
    store.publish(pack(document(ports[:1])))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
        first = time.perf_counter()
        await asyncio.gather(*reading)
    print(
        f"{clients} xDS clients: all subscribed after {connected:.2f} s ({joined:.2f} s of CPU), "
        f"{running.resident_mib() - memory:.0f} MiB; a change at all of them {time.perf_counter() - first:.2f} s after "
        f"the first ({running.cpu_seconds() - cpu:.2f} s of CPU)"
    )
    for channel in channels:
        await channel.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40, metavar="N", help="turns of each way (default 40)")
    parser.add_argument("--calls", type=int, default=200, metavar="N", help="calls of a turn (default 200)")
    parser.add_argument("--clients", type=int, default=1000, metavar="N", help="xDS clients, at most 1000 (default)")
    given = parser.parse_args()
    for name, value, most in (
        ("rounds", given.rounds, 10_000),
        ("calls", given.calls, 100_000),
        ("clients", given.clients, 1000),
    ):
        if not 1 <= value <= most:
            parser.error(f"--{name} must be 1..{most}, got {value}")
    with ExitStack() as stack:
        ports = [stack.enter_context(server(METHOD, "x")) for _ in range(2)]
        store = ParameterStore()
        stack.callback(store.shutdown)
        stack.callback(store.server_close)
        from threading import Thread

        Thread(target=store.serve_forever, daemon=True).start()
        store.publish(pack(document(ports)))
        running = stack.enter_context(balancer(store))
        os.environ[BOOTSTRAP] = bootstrap([f"127.0.0.1:{running.xds_port}"], "benchmark")
        measure(given.rounds, given.calls, ports, running)
        asyncio.run(measure_clients(given.clients, store, ports, running))
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main())
