"""What a call costs this balancer: CPU time of Envoy with our configuration, beside Envoy as it comes.

    python benchmarks/call_cost.py [--rounds 60] [--calls 384] [--each 2]

Every Envoy has one worker thread and the same gRPC server behind it; load, turns and figures are those of
telemetry_cost.py. "stock" is the shortest configuration that passes gRPC on; each other way is ours with one thing
changed. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from telemetry_cost import (
    CONNECTIONS,
    FIRST_PORT,
    METHOD,
    OFF,
    READY_SECONDS,
    Call,
    Way,
    cheaper,
    cpu_of,
    load,
    server,
    settings_of,
)

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from grpc_lb_contract import Document, Group, Route, Service, Target, TargetState  # noqa: E402
from proxy_image.control_plane.state import ControlPlaneState  # noqa: E402
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService  # noqa: E402
from proxy_image.control_plane.xds.cache import SnapshotCache  # noqa: E402
from proxy_image.control_plane.xds.envoy.listeners import Ports  # noqa: E402
from proxy_image.control_plane.xds.snapshot_maker import snapshot  # noqa: E402
from proxy_image.envoy.binary import find_envoy  # noqa: E402
from proxy_image.envoy.bootstrap import Node, arguments, bootstrap, to_json  # noqa: E402

Bootstrap = dict[str, Any]
STOCK = "stock Envoy"


@dataclass(slots=True)
class Running:
    pid: int
    calls: list[Call]
    turns: list[float] = field(default_factory=list)


def nghttp2(config: Bootstrap) -> None:
    """Envoy's own codec, as one that does not keep the promises."""
    config["layered_runtime"]["layers"][0]["static_layer"]["envoy"] = {}


def as_it_is(config: Bootstrap) -> None: ...


WAYS: dict[str, tuple[dict[str, str], Callable[[Bootstrap], None]]] = {
    "ours": ({}, as_it_is),
    "ours, without call statistics": (OFF, as_it_is),
    "ours, with nghttp2": ({}, nghttp2),
}


def stock(port: int, target: int) -> Bootstrap:
    kind = "type.googleapis.com/envoy.extensions"
    router = {"name": "router", "typed_config": {"@type": f"{kind}.filters.http.router.v3.Router"}}
    manager = {
        "@type": f"{kind}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "stock",
        "codec_type": "AUTO",
        "http_filters": [router],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}}],
                }
            ]
        },
    }
    options = {
        "@type": f"{kind}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    endpoint = {"endpoint": {"address": _address(target)}}
    cluster = {
        "name": "echo",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "echo", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }
    chain = {"filters": [{"name": "hcm", "typed_config": manager}]}
    listener = {"name": "calls", "address": _address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@asynccontextmanager
async def running(name: str, number: int, target: int) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grpc-lb-")))
        variables, change = WAYS.get(name, ({}, as_it_is))
        settings = settings_of(Way(variables), state, FIRST_PORT + 4 * number)
        config = state / "envoy.json"
        if name == STOCK:
            config.write_text(json.dumps(stock(settings.port, target)))
            command = ["--config-path", str(config), "--concurrency", "1", "--disable-hot-restart"]
        else:
            service = AdsService(cache := SnapshotCache(), observer := ControlPlaneState(), observer.clients)
            await stack.enter_async_context(AdsServer(service, settings.ads_socket))
            where = Target("127.0.0.1", target, "", TargetState.SERVING, "echo", "task")
            document = Document((Service("echo", (Route(),), (Group("echo"),), (where,)),))
            ports = Ports(settings.bind_address, settings.port, settings.ready_port)
            await cache.publish(snapshot(document, ports, telemetry=settings.telemetry))
            own = copy.deepcopy(bootstrap(settings, Node("benchmark", "benchmark", ""), descriptors=10_000))
            change(own)
            config.write_text(to_json(own))
            command = list(arguments(settings, config, concurrency=1))
        log = stack.enter_context((state / "log").open("wb"))
        process = await asyncio.create_subprocess_exec(str(find_envoy(None)), *command, stdout=log, stderr=log)
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
        yield Running(process.pid, methods)


async def measure(rounds: int, calls: int, each: int) -> dict[str, list[list[float]]]:
    """Of each way, the microseconds of CPU a call of each turn of each of its Envoys."""
    async with AsyncExitStack() as stack:
        target = stack.enter_context(server(METHOD, "x"))
        envoys: list[tuple[str, Running]] = []
        for name in (STOCK, *WAYS):
            for _ in range(each):
                envoys.append((name, await stack.enter_async_context(running(name, len(envoys), target))))
        for _, one in envoys:
            await load(one.calls, calls)
        for _ in range(rounds):
            for _, one in random.sample(envoys, len(envoys)):
                cpu = cpu_of(one.pid)
                await load(one.calls, calls)
                one.turns.append((cpu_of(one.pid) - cpu) / calls * 1e6)
        found: dict[str, list[list[float]]] = {}
        for name, one in envoys:
            found.setdefault(name, []).append(one.turns)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="turns of each Envoy (default: 60)")
    parser.add_argument("--calls", type=int, default=384, help="calls a turn, a multiple of 128 (default: 384)")
    parser.add_argument("--each", type=int, default=2, help="Envoys of each way (default: 2)")
    options = parser.parse_args()
    found = asyncio.run(measure(options.rounds, options.calls, options.each))
    baseline = cheaper([turn for turns in found[STOCK] for turn in turns])
    for name, envoys in found.items():
        each = ", ".join(f"{cheaper(turns):.1f}" for turns in envoys)
        mean = cheaper([turn for turns in envoys for turn in turns])
        print(f"{name:45} {mean:7.1f} µs a call, {mean / baseline:5.2f} × {STOCK} (its Envoys: {each})")


if __name__ == "__main__":
    main()
