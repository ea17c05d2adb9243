"""A real Traefik and this balancer beside each other: the same tasks, the same calls, at the same time.

    python -m benchmarks.beside_traefik

Traefik runs its ECS provider with its defaults, here the Lambda is told of each change half a second later, as
EventBridge does it. Takes about two minutes and ends with the table of docs/migrate/traefik.md.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from botocore.exceptions import ClientError

from tests.lambda_src.fake_aws import definition_arn, failure, task_name
from tests.traefik_labels.judge.aws import Cluster, definition_of, task_of
from tests.traefik_labels.judge.backends import address
from tests.traefik_labels.judge.ours import Ours, ours
from tests.traefik_labels.judge.sets import Job
from tests.traefik_labels.judge.traefik import traefik
from tests.traefik_labels.judge.words import box
from traefik_labels import TraefikLabels

EVENT_SECONDS = 0.5
RATE = 60.0
STREAM_SECONDS = 70.0
STOPS_AFTER_SECONDS = 5.0
SILENT_SECONDS = 10.0
"""A stream that says nothing for so long has ended."""
PORT = 50051
SETTINGS = TraefikLabels(version=3)


class Task(grpc.GenericRpcHandler):
    """A task of ECS with a gRPC server of its own, which tells its address, or echoes a stream."""

    def __init__(self, number: int, family: str) -> None:
        self.name, self.family, self.ip = task_name(number), family, address(number)
        self._server: Any = None

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        if details.method.endswith("/Echo"):
            return grpc.stream_stream_rpc_method_handler(self._echo)
        return grpc.unary_unary_rpc_method_handler(self._who)

    async def _who(self, _request: bytes, _context: Any) -> bytes:
        return self.ip.encode()

    async def _echo(self, requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def start(self) -> None:
        self._server = grpc.aio.server(handlers=[self], options=[("grpc.so_reuseport", 0)])
        self._server.add_insecure_port(f"{self.ip}:{PORT}")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(1)


@dataclass
class Side:
    """`calls` goes to `address`; `found` are the addresses of tasks that answered, with the first time of each."""

    name: str
    address: str
    made: int = 0
    failed: int = 0
    found: dict[str, float] = field(default_factory=dict)

    def channel(self, host: str) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self.address, options=[("grpc.default_authority", host)])

    async def load(self, seconds: float) -> None:
        """Calls at a steady rate, however long the answers take."""
        self.made = self.failed = 0
        self.found.clear()
        async with self.channel("load.test") as channel:
            who: Any = channel.unary_unary("/rng.v1.R/Who")
            calls: list[asyncio.Task[None]] = []
            started = time.monotonic()
            while len(calls) < seconds * RATE:
                calls.append(asyncio.create_task(self._call(who)))
                await asyncio.sleep(max(0.0, started + len(calls) / RATE - time.monotonic()))
            await asyncio.gather(*calls)

    async def _call(self, who: Any) -> None:
        self.made += 1
        try:
            ip = (await who(b"", timeout=5)).decode()
        except grpc.aio.AioRpcError:
            self.failed += 1
        else:
            self.found.setdefault(ip, time.monotonic())

    async def stream(self) -> float:
        """How long a two-way stream lasted of STREAM_SECONDS."""
        started = time.monotonic()
        async with self.channel("stream.test") as channel:
            call: Any = channel.stream_stream("/rng.v1.R/Echo")()
            lasted = 0.0
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError):
                while lasted < STREAM_SECONDS:
                    await asyncio.wait_for(call.write(b"x"), SILENT_SECONDS)
                    if await asyncio.wait_for(call.read(), SILENT_SECONDS) != b"x":
                        break
                    lasted = time.monotonic() - started
                    await asyncio.sleep(1)
            call.cancel()
        return lasted


class Stage:
    def __init__(self, cluster: Cluster, here: Ours) -> None:
        self._cluster, self._here = cluster, here
        self._number = 0
        self._is_throttled = False
        self._jobs = {
            family: Job((box(f"Host(`{family}.test`)", router=family, service=family),), service=family)
            for family in ("load", "stream")
        }
        self._cluster.aws.definitions = {
            definition_arn(family): definition_of(family, job, definition_arn(family))
            for family, job in self._jobs.items()
        }

    async def run(self, family: str) -> Task:
        self._number += 1
        task = Task(self._number, family)
        await task.start()
        arn = definition_arn(family)
        self._cluster.aws.tasks[task.name] = task_of(task.name, task.ip, family, self._jobs[family], arn)
        return task

    async def replace(self, old: Task) -> Task:
        new = await self.run(old.family)
        await self.event()
        await asyncio.sleep(2)
        self._cluster.aws.stop(old.name)
        await self.event()
        await asyncio.sleep(STOPS_AFTER_SECONDS)
        await old.stop()
        self._cluster.aws.stop(old.name, "STOPPED")
        await self.event()
        return new

    async def event(self) -> None:
        """Have the Lambda refresh, as from an event. Where ECS fails, it fails."""
        await asyncio.sleep(EVENT_SECONDS)
        if not self._is_throttled:
            await asyncio.to_thread(self._here.refresh, SETTINGS)
            return
        with suppress(ClientError, LookupError):  # it fails, or gives up before it has made anything
            await asyncio.to_thread(self._here.refresh, SETTINGS, seconds_left=0.0)

    @contextmanager
    def throttled(self) -> Iterator[None]:
        def spoil(operation: str, _parameters: Any) -> Any:
            return failure("ThrottlingException", "Rate exceeded") if operation == "DescribeTasks" else None

        self._cluster.aws.spoil = spoil
        self._is_throttled = True
        try:
            yield
        finally:
            self._cluster.aws.spoil = lambda *_: None


async def measure(stage: Stage, sides: list[Side]) -> list[tuple[str, list[str]]]:
    tasks = [await stage.run("load") for _ in range(3)]
    await stage.run("stream")
    await stage.event()
    await asyncio.gather(*(_answers(side) for side in sides))
    streams = [asyncio.create_task(side.stream()) for side in sides]
    rows: list[tuple[str, list[str]]] = []

    tell("a rolling deploy of 3 tasks")
    loads = [asyncio.create_task(side.load(40)) for side in sides]
    tasks = [await stage.replace(task) for task in tasks]
    await asyncio.gather(*loads)
    rows.append(
        ("failed calls in a rolling deploy of 3 tasks", [f"{side.failed:,} of {side.made:,}" for side in sides])
    )

    tell("from 3 tasks to 4")
    loads = [asyncio.create_task(side.load(20)) for side in sides]
    await asyncio.sleep(2)
    started = time.monotonic()
    new = await stage.run("load")
    await stage.event()
    await asyncio.gather(*loads)
    first = [side.found.get(new.ip) for side in sides]
    rows.append(
        ("a new task's first call", [f"after {at - started:.1f} s" if at else "not within 18 s" for at in first])
    )

    tell("DescribeTasks is throttled")
    with stage.throttled():
        loads = [asyncio.create_task(side.load(25)) for side in sides]
        await stage.event()
        await asyncio.gather(*loads)
    rows.append(("failed calls while ECS throttles DescribeTasks", _failed(sides)))

    lasted = await asyncio.gather(*streams)
    rows.append(("a two-way stream of 70 s", [f"cut after {one:.0f} s" if one < 69 else "whole" for one in lasted]))
    return rows


def _failed(sides: list[Side]) -> list[str]:
    return [f"{side.failed:,} of {side.made:,}" for side in sides]


async def _answers(side: Side) -> None:
    for host in ("load.test", "stream.test"):
        async with side.channel(host) as channel:
            who: Any = channel.unary_unary("/rng.v1.R/Who")
            for _ in range(300):
                with suppress(grpc.aio.AioRpcError):
                    await who(b"", timeout=1)
                    break
                await asyncio.sleep(0.1)


def tell(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


def main() -> int:
    argparse.ArgumentParser(
        prog="python -m benchmarks.beside_traefik",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    logging.disable(logging.CRITICAL)
    cluster = Cluster()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        endpoint = stack.enter_context(cluster.serve())
        there = stack.enter_context(traefik(endpoint, folder, refresh_seconds=15))
        here = stack.enter_context(ours(cluster, endpoint, folder))
        sides = [
            Side("Traefik 3.7", f"{there.web[0]}:{there.web[1]}"),
            Side("this balancer", f"{here.calls[0]}:{here.calls[1]}"),
        ]
        rows = asyncio.run(measure(Stage(cluster, here), sides))
    print(f"| | {' | '.join(side.name for side in sides)} |\n|---|---|---|")
    for what, seen in rows:
        print(f"| {what} | {' | '.join(seen)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
