"""A balancer with an honest caller, a place to measure both, and attackers as processes of their own."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from proxy_image.envoy.unix_http import UnixConnection
from tests.hostile.names import SERVICE
from tests.proxy_image.balancer import REAL, Balancer, channel, running_balancer, until
from tests.proxy_image.control_plane.support import WHO, Backend, backends
from tests.waiting import PATIENCE_SECONDS

MAX_CHANGE_SECONDS = 60
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Honest:
    """What an honest caller saw: the median of its calls in seconds, and how its failures ended."""

    p50: float
    failures: tuple[str, ...] = ()


@dataclass
class Stage:
    balancer: Balancer
    backend: Backend
    on: grpc.aio.Channel
    control_plane_pid: int
    envoy_pid: int
    hit_port: int
    """Of the server that attackers call."""
    _changes: int = 0

    def address(self, port: str = "port") -> tuple[str, int]:
        return "127.0.0.1", self.balancer.ports[port]

    @property
    def envoy_memory(self) -> int:
        """Bytes, resident."""
        return resident(self.envoy_pid)

    @property
    def control_plane_memory(self) -> int:
        return resident(self.control_plane_pid)

    @property
    def log_bytes(self) -> int:
        return self.balancer.log.stat().st_size

    async def honest_calls(self, calls: int) -> Honest:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.on.unary_unary(WHO)
        took, failures = [], []
        for _ in range(calls):
            started = time.perf_counter()
            try:
                await method(b"", timeout=PATIENCE_SECONDS)
            except grpc.aio.AioRpcError as error:
                failures.append(f"{error.code().name}: {error.details()}")
            took.append(time.perf_counter() - started)
        return Honest(statistics.median(took), tuple(failures))

    async def new_caller(self) -> str:
        """Who answers a caller that connects now."""
        async with channel(self.balancer.address) as on:
            method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = on.unary_unary(WHO)
            return (await method(b"", timeout=PATIENCE_SECONDS)).decode()

    async def change(self) -> float:
        """Seconds until Envoy has a change of the targets."""
        self._changes += 1
        changed = f"127.9.{self._changes // 200}.{self._changes % 200 + 1}:9"
        services = {
            "test": ("*", f"127.0.0.1:{self.backend.port}"),
            "hit": (SERVICE, f"127.0.0.1:{self.hit_port}"),
            "changing": ("changing", changed),
        }
        entries = [
            {"name": name, "grpc_services": [grpc_service], "targets": [target]}
            for name, (grpc_service, target) in services.items()
        ]
        file = self.balancer.state_dir / "targets.json"
        temporary = file.with_suffix(".new")
        temporary.write_text(json.dumps({"services": entries}))
        started = time.perf_counter()
        temporary.rename(file)
        while f"::{changed}::" not in await self.envoy_says("/clusters"):
            assert time.perf_counter() - started < MAX_CHANGE_SECONDS, self.balancer.log.read_text()[-3000:]
            await asyncio.sleep(0.02)
        return time.perf_counter() - started

    async def envoy_says(self, path: str) -> str:
        """What Envoy's admin answers."""

        def ask() -> str:
            connection = UnixConnection(self.balancer.admin.path, 20)
            try:
                connection.request("GET", path)
                return connection.getresponse().read().decode()
            finally:
                connection.close()

        return await asyncio.to_thread(ask)


@asynccontextmanager
async def stage(state_dir: Path) -> AsyncIterator[Stage]:
    async with (
        backends("honest") as (backend,),
        _attacked_server() as hit_port,
        running_balancer(
            state_dir,
            f"127.0.0.1:{backend.port}",
            {
                "GRPC_LB_POLL_SECONDS": "0.05",
                "GRPC_LB_IDLE_POLL_SECONDS": "0.05",
                "GRPC_LB_ENVOY_CONCURRENCY": "2",
            },
            module=REAL,
        ) as balancer,
    ):
        await balancer.ready()
        pids = await until(lambda: _children(balancer.process.pid), "Envoy and the control plane")
        async with channel(balancer.address) as on:
            control_plane, envoy = pids
            made = Stage(balancer, backend, on, control_plane, envoy, hit_port)
            await made.change()
            yield made


@asynccontextmanager
async def _attacked_server() -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.hostile.backend",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield int(await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS))
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def attack(kind: str, address: tuple[str, int]) -> AsyncIterator[dict[str, Any]]:
    """Someone attacks in a process of its own until the block ends; then what it did is in the dictionary."""
    did: dict[str, Any] = {}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.hostile.attacker",
        kind,
        *map(str, address),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS) == b"attacking\n"
        yield did
        process.stdin.close()
        did.update(json.loads(await asyncio.wait_for(process.stdout.read(), PATIENCE_SECONDS)))
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no resident memory")


def _children(parent: int) -> tuple[int, int] | None:
    """The control plane's and Envoy's process."""
    found: dict[str, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            ppid = int(path.read_text().rpartition(")")[2].split()[1])
            command = (path.parent / "cmdline").read_text() if ppid == parent else ""
        except OSError:
            continue
        for what in ("proxy_image.control_plane", "--config-path"):
            if what in command:
                found[what] = int(path.parent.name)
    return (found["proxy_image.control_plane"], found["--config-path"]) if len(found) == 2 else None
