"""Real parts for the control plane's tests: gRPC servers, an Envoy, an ADS client; and documents in few words."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
from prometheus_client import CollectorRegistry

from grpc_lb_contract import Document, Group, Route, Service, Target, TargetState
from proxy_image.control_plane.metrics.control_plane_metrics import WorkCollector
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.stats.history.journal import Journal
from proxy_image.control_plane.stats.watcher import EnvoyStatistics, Watcher
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.envoy.listeners import ConnectionTimes, Ports
from proxy_image.control_plane.xds.snapshot_maker import DEFAULT_TIMES, snapshot
from proxy_image.envoy.binary import environment, find_envoy
from proxy_image.envoy.bootstrap import Node, bootstrap, to_json
from proxy_image.envoy.unix_http import UnixConnection
from proxy_image.settings import Settings, from_environment
from tests.grpc_servers import SERVER_OPTIONS
from tests.ports import free_ports
from tests.waiting import PATIENCE_SECONDS, pause_after

GRPC_SERVICE = "test.Test"
WHO = f"/{GRPC_SERVICE}/Who"
WHICH = f"/{GRPC_SERVICE}/Which"
STREAM = f"/{GRPC_SERVICE}/Stream"
STAY = f"/{GRPC_SERVICE}/Stay"


NODE = Node("test", "test", "")


async def eventually(read: Callable[[], Any], what: str = "", seconds: float = PATIENCE_SECONDS) -> Any:
    """The first true value of `read`, which may fail in between."""
    started = time.monotonic()
    while True:
        waited = time.monotonic() - started
        try:
            value = read()
            value = await value if isinstance(value, Awaitable) else value
        except (AssertionError, OSError, http.client.HTTPException, httpx.TransportError, grpc.RpcError):
            if waited > seconds:
                raise
            value = None
        if value:
            return value
        assert waited < seconds, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(pause_after(waited))


@dataclass
class Backend:
    """A gRPC server that says who it is, counts what it sees, and does to a call what the test wants."""

    name: str
    port: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    metadata: list[dict[str, str]] = field(default_factory=list)
    time_left: list[float | None] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    abort: grpc.StatusCode | None = None
    hold: bool = False
    """Answer nothing until released."""
    credentials: grpc.ServerCredentials | None = None
    options: tuple[tuple[str, Any], ...] = ()
    server: Any = None
    interceptors: tuple[Any, ...] = ()

    @property
    def target(self) -> Target:
        return target(self.port)

    async def _who(self, _request: bytes, context: Any) -> bytes:
        return await self._answer("who", context)

    async def _which(self, _request: bytes, context: Any) -> bytes:
        return await self._answer("which", context)

    async def _answer(self, method: str, context: Any) -> bytes:
        self.seen[method] += 1
        self.metadata.append(dict(context.invocation_metadata()))
        self.time_left.append(context.time_remaining())
        if self.hold:
            await self.release.wait()
        if self.abort is not None:
            await context.abort(self.abort, "as the test wants")
        return self.name.encode()

    async def _stream(self, _request: bytes, context: Any) -> None:
        """One message, then silence until it is released, then another."""
        self.seen["stream"] += 1
        await context.write(self.name.encode())
        await self.release.wait()
        await context.write(b"end")

    async def _flood(self, _request: bytes, context: Any) -> None:
        """Messages of 64 KiB without end, as fast as the caller takes them."""
        while True:
            await context.write(bytes(2**16))

    async def _stay(self, _request: bytes, context: Any) -> bytes:
        self.seen["stay"] += 1
        await self.release.wait()
        return self.name.encode()

    async def start(self, port: int = 0) -> None:
        self.server = grpc.aio.server(interceptors=self.interceptors, options=[*SERVER_OPTIONS, *self.options])
        methods: dict[str, Any] = {
            "Who": grpc.unary_unary_rpc_method_handler(self._who),
            "Which": grpc.unary_unary_rpc_method_handler(self._which),
            "Stream": grpc.unary_stream_rpc_method_handler(self._stream),
            "Flood": grpc.unary_stream_rpc_method_handler(self._flood),
            "Stay": grpc.unary_unary_rpc_method_handler(self._stay),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(GRPC_SERVICE, methods),))
        address = f"127.0.0.1:{port}"
        self.port = (
            self.server.add_insecure_port(address)
            if self.credentials is None
            else self.server.add_secure_port(address, self.credentials)
        )
        await self.server.start()

    async def stop(self, grace: float | None = 0) -> None:
        self.release.set()
        await self.server.stop(grace)


@asynccontextmanager
async def backends(*names: str, **more: Any) -> AsyncIterator[list[Backend]]:
    servers = [Backend(name, **more) for name in names]
    for server in servers:
        await server.start()
    try:
        yield servers
    finally:
        for server in servers:
            await server.stop()


def target(port: int, *, zone: str = "", draining: bool = False, group: str = "rng", ip: str = "127.0.0.1") -> Target:
    state = TargetState.DRAINING if draining else TargetState.SERVING
    return Target(ip, port, zone, state, group, f"task-{port}")


def service(name: str, *targets: Target, routes: Sequence[Route] = (Route(),)) -> Service:
    groups = tuple(Group(group) for group in sorted({target.group for target in targets} or {"rng"}))
    return Service(name, tuple(routes), groups, targets)


def rng(*targets: Target) -> Document:
    return Document((service("rng", *targets),))


def settings_for(state_dir: Path, **more: str) -> Settings:
    calls, ready, web, xds = free_ports(4)
    settings = from_environment(
        {
            "GRPC_LB_PARAMETER_PREFIX": "/grpc-lb/test",
            "GRPC_LB_STATE_DIR": str(state_dir),
            "BIND_ADDRESS": "127.0.0.1",
            "GRPC_LB_PORT": str(calls),
            "GRPC_LB_READY_PORT": str(ready),
            "GRPC_LB_WEB_PORT": str(web),
            "GRPC_LB_XDS_PORT": str(xds),
            **more,
        }
    )
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    return settings


@dataclass(frozen=True)
class Answer:
    status: int
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


async def ask(connection: http.client.HTTPConnection, path: str, method: str = "GET") -> Answer:
    """Most tests ask Envoy dozens of times, and httpx takes ten times as long to make a client."""

    def answer() -> Answer:
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return Answer(response.status, response.read().decode())
        finally:
            connection.close()

    return await asyncio.to_thread(answer)


@dataclass
class Envoy:
    settings: Settings
    log: Path
    process: asyncio.subprocess.Process

    async def admin(self, path: str, method: str = "GET") -> Answer:
        return await ask(UnixConnection(self.settings.admin_socket, PATIENCE_SECONDS), path, method)

    async def stat(self, name: str) -> int:
        answer = await self.admin(f"/stats?format=json&filter=^{name}$")
        stats = [stat for stat in answer.json()["stats"] if "name" in stat]
        return int(stats[0]["value"]) if stats else 0

    async def text(self, name: str) -> str:
        """A statistic that is a text, such as the version of what Envoy has accepted last."""
        answer = await self.admin(f"/stats?format=json&type=TextReadouts&filter=^{name}$")
        return "".join(stat["value"] for stat in answer.json()["stats"])

    async def endpoints(self, cluster: str = "rng") -> dict[int, str]:
        """Port → health status, as Envoy has it."""
        clusters = (await self.admin("/clusters?format=json")).json()["cluster_statuses"]
        hosts = [host for status in clusters if status["name"] == cluster for host in status.get("host_statuses", [])]
        return {
            host["address"]["socket_address"]["port_value"]: host["health_status"].get("eds_health_status", "HEALTHY")
            for host in hosts
        }

    async def has(self, *ports: int, cluster: str = "rng") -> None:
        """Wait until Envoy has exactly these targets."""

        async def there() -> bool:
            return set(await self.endpoints(cluster)) == set(ports)

        await eventually(there, f"targets {ports}, log:\n{self.log.read_text()}")

    async def readiness(self) -> int:
        if self.process.returncode is not None:
            raise RuntimeError(f"envoy ended with {self.process.returncode}, log:\n{self.log.read_text()}")
        port = self.settings.ready_port
        return (await ask(http.client.HTTPConnection("127.0.0.1", port, PATIENCE_SECONDS), "/ready")).status

    async def ready(self) -> None:
        async def is_ready() -> bool:
            return await self.readiness() == 200

        await eventually(is_ready, f"readiness, log:\n{self.log.read_text()}")

    def channel(self, **options: Any) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(
            f"127.0.0.1:{self.settings.port}",
            # A connection of its own, no retries of the client's own: what fails is seen.
            options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0), *options.items()],
        )


# Envoy dies with the tests, however they end. Not by preexec_fn: a fork under gRPC's threads may abort the child.
_EXEC = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"  # PR_SET_PDEATHSIG
# Of util-linux: a tenth of an interpreter's start, which is a fifth of Envoy's.
_SETPRIV = shutil.which("setpriv")
_DIES_WITH_PARENT = (sys.executable, "-ISc", _EXEC) if _SETPRIV is None else (_SETPRIV, "--pdeathsig", "KILL")


@asynccontextmanager
async def running_envoy(settings: Settings, *, concurrency: int = 1, memory: int | None = None) -> AsyncIterator[Envoy]:
    config = settings.state_dir / "envoy.json"
    config.write_text(to_json(bootstrap(settings, NODE, descriptors=10_000, memory=memory)))
    log = settings.state_dir / "envoy.log"
    arguments = ["-c", str(config), "--concurrency", str(concurrency), "--disable-hot-restart", "-l", "info"]
    arguments += ["--file-flush-interval-msec", "50"]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(*_DIES_WITH_PARENT, str(find_envoy(None)), *arguments),
            stdout=output,
            stderr=output,
            env=environment(os.environ),
        )
    try:
        yield Envoy(settings, log, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@dataclass
class ControlPlane:
    """Cache and ADS server without a source: the test says which document is served."""

    settings: Settings
    cache: SnapshotCache
    state: ControlPlaneState
    server: AdsServer
    times: ConnectionTimes = DEFAULT_TIMES
    own_zone: str = ""
    system_cas: Path | None = None

    @property
    def registry(self) -> CollectorRegistry:
        """What Prometheus would find of the control plane's work."""
        registry = CollectorRegistry()
        registry.register(WorkCollector(self.state))
        return registry

    @property
    def ports(self) -> Ports:
        s = self.settings
        return Ports(s.bind_address, s.port, s.ready_port, s.proxy_protocol)

    async def serve(self, document: Document, generation: str | None = None) -> None:
        await self.cache.publish(
            snapshot(
                document,
                self.ports,
                self.times,
                generation=generation,
                own_zone=self.own_zone,
                telemetry=self.settings.telemetry,
                system_cas=self.system_cas,
                metadata=self.settings.metadata,
            )
        )


@asynccontextmanager
async def control_plane(
    settings: Settings,
    times: ConnectionTimes = DEFAULT_TIMES,
    own_zone: str = "",
    system_cas: Path | None = None,
) -> AsyncIterator[ControlPlane]:
    cache, state = SnapshotCache(), ControlPlaneState()
    async with AdsServer(AdsService(cache, state, state.clients), settings.ads_socket) as server:
        yield ControlPlane(settings, cache, state, server, times, own_zone, system_cas)


@asynccontextmanager
async def balancer(
    tmp_path: Path,
    document: Document,
    times: ConnectionTimes = DEFAULT_TIMES,
    own_zone: str = "",
    system_cas: Path | None = None,
    **more: str,
) -> AsyncIterator[tuple[ControlPlane, Envoy]]:
    """An Envoy that serves a document. `more`: settings as variables."""
    settings = settings_for(tmp_path, **more)
    async with control_plane(settings, times, own_zone, system_cas) as plane, running_envoy(settings) as envoy:
        await plane.serve(document)
        await envoy.ready()
        yield plane, envoy


def watcher_of(envoy: Envoy) -> Watcher:
    """A reader of its statistics, with a history of its own."""
    return Watcher(EnvoyStatistics(envoy.settings.admin_socket), Journal())


async def who(channel: grpc.aio.Channel, calls: int = 1, method: str = WHO, **options: Any) -> Counter[str]:
    """Calls one after the other; how often which server answered."""
    answers: Counter[str] = Counter()
    call: Any = channel.unary_unary(method)
    for _ in range(calls):
        answers[(await call(b"", **{"timeout": PATIENCE_SECONDS, **options})).decode()] += 1
    return answers


def logged(caplog: Any, event: str) -> list[dict[str, Any]]:
    return [getattr(record, "facts", {}) for record in caplog.records if record.getMessage() == event]
