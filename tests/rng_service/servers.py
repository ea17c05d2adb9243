"""Real servers for the tests: in this process, and as a process of their own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rng_service.server import Server
from rng_service.settings import Settings
from tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def serving(task: str) -> AsyncIterator[str]:
    """A server in this process; gives its address."""
    server = Server(Settings(bind_address="127.0.0.1", port=0), task)
    address = await server.start()
    try:
        yield address
    finally:
        await server.grpc.stop(None)


def environment(**settings: str) -> dict[str, str]:
    ours = ("BIND_ADDRESS", "PORT", "SHUTDOWN_", "SERVED_BY", "ECS_", "GRPC_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"BIND_ADDRESS": "127.0.0.1", "PORT": "0", "PYTHONPATH": str(ROOT)} | settings


@dataclass(slots=True)
class ServerProcess:
    """`python -m rng_service` as ECS runs it: told to stop by signals, its log read line by line."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def address(self) -> str:
        found = re.search(r" on (\S+) as ", "\n".join(self.lines))
        assert found is not None, self.lines
        return found[1]

    def tell(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self.more:
                self.lines.append(line.decode().rstrip())
                self.more.notify_all()
        async with self.more:
            self.more.notify_all()

    async def logged(self, text: str) -> str:
        """Wait for a line of the log with this text."""

        def found() -> list[str]:
            assert self.process.stderr is not None
            lines = [line for line in self.lines if text in line]
            assert lines or not self.process.stderr.at_eof(), f"no line with {text!r} in {self.lines}"
            return lines

        async with asyncio.timeout(PATIENCE_SECONDS), self.more:
            await self.more.wait_for(found)
            return found()[0]

    async def exit_code(self) -> int:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def server_process(**settings: str) -> AsyncIterator[ServerProcess]:
    """A server process that serves; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rng_service"), env=environment(**settings), stderr=asyncio.subprocess.PIPE
    )
    server = ServerProcess(process)
    reading = asyncio.create_task(server.read())
    try:
        await server.logged("serving rng.v1")
        yield server
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def run_module(module: str, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run `python -m MODULE`; give its exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        env=environment(**settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
