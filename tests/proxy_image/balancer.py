"""A balancer as a process, and a gRPC server to stand behind it, for tests."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from proxy_image.envoy.admin import Admin
from tests.grpc_servers import SERVER_OPTIONS
from tests.ports import free_ports
from tests.waiting import PATIENCE_SECONDS, pause_after

UNARY = "/test.Test/Unary"
STREAM = "/test.Test/Stream"
TICK_SECONDS = 0.1

STATIC = "tests.proxy_image.run_balancer"
REAL = "proxy_image"


async def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Waits for a condition with a deadline and returns its (true) value."""
    started = time.monotonic()
    while not (value := condition()):
        waited = time.monotonic() - started
        assert waited < seconds, f"not in {seconds:g} s: {what}"
        await asyncio.sleep(pause_after(waited))
    return value


@dataclass
class Balancer:
    """One `python -m proxy_image`, with the tests' control plane or the real one: its log, children and exit code."""

    state_dir: Path
    process: "subprocess.Popen[bytes]"
    log: Path
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.ports['port']}"

    @property
    def admin(self) -> Admin:
        return Admin(self.state_dir / "run" / "admin.sock")

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        lines = []
        for line in self.log.read_text().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
        return [line for line in lines if name in (None, line["event"])]

    async def event(self, name: str, count: int = 1, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The count-th event of that name, once it is there."""
        await until(lambda: len(self.events(name)) >= count, f"{count} x {name!r} in\n{self.log.read_text()}", seconds)
        return self.events(name)[count - 1]

    def readiness(self) -> int:
        """The HTTP status of /ready; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.ports['ready']}/ready", timeout=PATIENCE_SECONDS
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    async def ready(self) -> None:
        await until(lambda: self.readiness() == 200, f"readiness, log:\n{self.log.read_text()}")

    async def exited(self, seconds: float = PATIENCE_SECONDS) -> int:
        await until(lambda: self.process.poll() is not None, f"exit, log:\n{self.log.read_text()}", seconds)
        return int(self.process.returncode)


@asynccontextmanager
async def running_balancer(
    state_dir: Path,
    target: str,
    env: dict[str, str] | None = None,
    module: str = STATIC,
    stdout: int | None = None,
    **settings: str,
) -> AsyncIterator[Balancer]:
    """A started balancer; what is left of it at the end is killed. stdout: where that goes, by default to the log."""
    balancer = start_balancer(state_dir, module, target, {**settings, **(env or {})}, stdout)
    try:
        yield balancer
    finally:
        if balancer.process.poll() is None:
            balancer.process.send_signal(signal.SIGKILL)
        balancer.process.wait()


def start_balancer(
    state_dir: Path, module: str, target: str, env: dict[str, str], stdout: int | None = None
) -> Balancer:
    ports = dict(zip(("port", "ready", "web", "xds"), free_ports(4), strict=True))
    state_dir.mkdir(parents=True, exist_ok=True)
    log = state_dir / "log.jsonl"
    targets_file = state_dir / "targets.json"
    targets_file.write_text(json.dumps({"services": [{"name": "test", "targets": [target]}]}))
    variables = {
        "TARGET": target,  # for the static control plane
        "GRPC_LB_TARGETS_FILE": str(targets_file),  # for the real one
        "BIND_ADDRESS": "127.0.0.1",
        "GRPC_LB_PORT": str(ports["port"]),
        "GRPC_LB_READY_PORT": str(ports["ready"]),
        "GRPC_LB_WEB_PORT": str(ports["web"]),
        "GRPC_LB_XDS_PORT": str(ports["xds"]),
        "GRPC_LB_STATE_DIR": str(state_dir),
        "GRPC_LB_ENVOY_CONCURRENCY": "2",
        "GRPC_LB_DRAIN_DELAY_SECONDS": "0.3",
        "GRPC_LB_DRAIN_SECONDS": "2",
        **env,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            (sys.executable, "-m", module),
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
        )
    return Balancer(state_dir=state_dir, process=process, log=log, ports=ports)


@asynccontextmanager
async def running_server() -> AsyncIterator[str]:
    """A gRPC server that echoes, and streams as many ticks as it is asked for; yields its address."""

    async def unary(request: bytes, _context: Any) -> bytes:
        return request

    async def stream(request: bytes, _context: Any) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield str(number).encode()
            await asyncio.sleep(TICK_SECONDS)

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.unary_stream_rpc_method_handler(stream),
    }
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def channel(*addresses: str) -> grpc.aio.Channel:
    """A channel with connections of its own: to the first address that can be reached."""
    return grpc.aio.insecure_channel(
        "ipv4:" + ",".join(addresses),
        options=[("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100)],
    )


async def call(on: grpc.aio.Channel) -> None:
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = on.unary_unary(UNARY)
    assert await method(b"hello", timeout=PATIENCE_SECONDS) == b"hello"


async def count_ticks(on: grpc.aio.Channel, ticks: int) -> int:
    """Asks for a stream of so many ticks and counts what comes."""
    method: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = on.unary_stream(STREAM)
    return len([tick async for tick in method(str(ticks).encode())])


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def zombies_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state == "Z" and int(parent) == pid:
            found.append(int(path.parent.name))
    return found
