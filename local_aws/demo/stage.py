"""The stack as the demo's scenes use it: who serves, what ECS is told, what is killed, and the load around it all."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from local_aws.stack import LocalStack, TaskInfo
from rng_service.calls import generate, open_channel
from rng_service.load import SteadyLoad
from rng_service.report import OK, LoadReport
from rng_service.rng.v1 import random_number_pb2_grpc as pb2_grpc
from rng_service.settings import Settings

Found = TypeVar("Found")

LOOK_EVERY_SECONDS = 0.1
# For what comes by itself: only a fault takes so long, on the busiest machine.
PATIENCE_SECONDS = 180.0
CONTROL_PLANE = b"proxy_image.control_plane"
ENVOY_WORKER_THREAD = "wrk:worker_"


class SceneError(Exception):
    """The stack did not get to where a scene needs it; the message says what was waited for."""


class Stage:
    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.addresses = stack.addresses
        self._ecs: Any = stack.client("ecs")
        self.direct_seconds = 0.0
        """The longest that a new task took, from its RUNNING event, to answer a client that calls it directly."""

    async def numbers(self) -> list[TaskInfo]:
        """The random-number tasks that run and are wanted."""
        return await asyncio.to_thread(self.stack.serving, self.addresses.service)

    async def balancers(self) -> list[TaskInfo]:
        return await asyncio.to_thread(self.stack.serving, self.addresses.balancer_service)

    async def scale(self, count: int) -> None:
        cluster, service = self.addresses.cluster, self.addresses.service
        await asyncio.to_thread(self._ecs.update_service, cluster=cluster, service=service, desiredCount=count)

    async def stop(self, task: TaskInfo) -> None:
        await asyncio.to_thread(self.stack.stop_task, task.arn)

    async def stop_unseen_by_aws_clients(self, task: TaskInfo) -> None:
        await asyncio.to_thread(self.stack.stop_task, task.arn, via="control")

    async def kill(self, task: TaskInfo) -> tuple[float, float]:
        """SIGKILL to the task; when it was sent, and when all of the task was gone."""
        pids = process_ids(task)
        sent = time.time()
        await asyncio.to_thread(self.stack.kill_task, task.arn)
        await until("the killed task's processes are gone", nothing_of(pids), within=PATIENCE_SECONDS)
        return sent, time.time()

    async def outage(self, mode: Any) -> None:
        await asyncio.to_thread(self.stack.outage, mode)

    async def new_numbers(self, before: Sequence[TaskInfo], *, count: int) -> list[TaskInfo]:
        """Wait until so many tasks run that did not run before."""
        known = {task.arn for task in before}

        async def new() -> list[TaskInfo]:
            found = [task for task in await self.numbers() if task.arn not in known]
            return found if len(found) >= count else []

        return await until(f"{count} new tasks run", new, within=PATIENCE_SECONDS)

    async def known_to_all(self, tasks: Sequence[TaskInfo]) -> None:
        """Wait until each balancer sends calls to these tasks and to no others."""
        wanted = {task.ip for task in tasks}

        async def all_know() -> bool:
            web = self.stack.addresses.web
            return all([await asyncio.to_thread(served_by, each) == wanted for each in web])

        await until(f"each balancer sends calls to the {len(tasks)} tasks", all_know, within=PATIENCE_SECONDS)

    async def settled(self) -> list[TaskInfo]:
        """The running tasks, once each balancer sends calls to all of them: nothing is lost by taking one away."""
        running = await self.numbers()
        await self.known_to_all(running)
        return running

    async def left(self, count: int) -> list[TaskInfo]:
        """The running tasks, once there are only so many: those told to stop serve on meanwhile."""

        async def counted() -> list[TaskInfo]:
            found = await self.numbers()
            return found if len(found) == count else []

        return await until(f"{count} tasks are left", counted, within=PATIENCE_SECONDS)

    async def call_directly(self, tasks: Sequence[TaskInfo]) -> None:
        """Measure `direct_seconds` on these tasks, which have just started: what this machine gives at this moment."""

        async def seconds(task: TaskInfo) -> float:
            async def answered() -> bool:
                async with open_channel(f"{task.ip}:{Settings().port}") as channel:
                    call = await generate(pb2_grpc.RandomNumberStub(channel), within=PATIENCE_SECONDS)
                return call.code == OK

            await until(f"task {task.id} answers a call", answered, within=PATIENCE_SECONDS)
            return time.time() - (task.started_at or task.created_at)

        self.direct_seconds = max(self.direct_seconds, *await asyncio.gather(*map(seconds, tasks)))

    async def stopped(self, tasks: Sequence[TaskInfo], *, count: int, by_service: bool = False) -> list[TaskInfo]:
        """Wait until so many of the tasks have stopped; with `by_service`, those alone that their service stopped."""
        known = {task.arn for task in tasks}

        def counts(task: TaskInfo) -> bool:
            asked = task.stop_code == "ServiceSchedulerInitiated" or not by_service
            return task.arn in known and task.last_status == "STOPPED" and asked

        async def gone() -> list[TaskInfo]:
            found = [task for task in await asyncio.to_thread(self.stack.tasks) if counts(task)]
            return found if len(found) >= count else []

        return await until(f"{count} tasks have stopped", gone, within=PATIENCE_SECONDS)

    async def steady(self, *names: str) -> None:
        """Wait until these services (default: each) have the tasks they want, healthy to their load balancers too."""

        async def all_steady() -> bool:
            services = await asyncio.to_thread(self.stack.services)
            return all(service["steady"] for service in services if not names or service["name"] in names)

        await until(f"{' and '.join(names) or 'every service'} is steady", all_steady, within=PATIENCE_SECONDS)

    async def envoy_workers(self) -> int:
        """How many threads of the Envoys behind the balancer's address share the calls."""
        pids = [pid for balancer in await self.balancers() for pid in process_ids(balancer)]
        return sum(name.startswith(ENVOY_WORKER_THREAD) for pid in pids for name in thread_names(pid))

    async def control_planes(self) -> set[int]:
        """The process ids of the balancers' control planes."""
        return {
            pid
            for balancer in await self.balancers()
            for pid in process_ids(balancer)
            if CONTROL_PLANE in command_line(pid)
        }

    async def kill_control_planes(self) -> int:
        """SIGKILL to each balancer's control plane; wait until each is back and has its targets again."""
        balancers = await self.balancers()
        killed = await self.control_planes()
        if len(killed) != len(balancers):
            raise SceneError(f"each of {len(balancers)} balancers must have a control plane, got {sorted(killed)}")
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

        async def back() -> bool:
            now = await self.control_planes()
            return len(now) == len(killed) and not now & killed and await asyncio.to_thread(self._all_serving)

        await until("the killed control planes are back", back, within=PATIENCE_SECONDS)
        return len(killed)

    def _all_serving(self) -> bool:
        return all(serves_envoy(web) for web in self.stack.addresses.web)


class Watched:
    """A steady load, and the stretches of it that belong to the scenes."""

    def __init__(self, load: SteadyLoad) -> None:
        self._load = load

    @asynccontextmanager
    async def stretch(self) -> AsyncIterator[Callable[[], LoadReport]]:
        """The calls made inside the `async with`; ask for the report after it."""
        started = time.time()
        ended = started
        yield lambda: self._load.report().between(started, ended)
        await asyncio.sleep(0.5)
        ended = time.time()
        await asyncio.sleep(0.1)

    async def first_answer(self, task: TaskInfo, *, within: float = PATIENCE_SECONDS) -> float | None:
        """When the task's first answer came, in Unix time; None when there was none in time."""

        async def answered() -> float | None:
            return self._load.report().between(task.created_at).first_answer(task.id)

        try:
            return await until("a new task answers", answered, within=within)
        except SceneError:
            return None

    async def seconds_to_first_answer(self, task: TaskInfo) -> float | None:
        """From the task's RUNNING event to its first answer."""
        answered = await self.first_answer(task)
        return None if answered is None or task.started_at is None else answered - task.started_at


async def until(what: str, look: Callable[[], Awaitable[Found]], *, within: float) -> Found:
    """Look until something is found. Raises SceneError when nothing is in time."""
    deadline = time.monotonic() + within
    while not (found := await look()):
        if time.monotonic() > deadline:
            raise SceneError(f"it must come within {within:g} s that {what}, it did not (see build/local)")
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    return found


def nothing_of(pids: Sequence[int]) -> Callable[[], Awaitable[bool]]:
    async def gone() -> bool:
        return not any(is_there(pid) for pid in pids)

    return gone


def serves_envoy(web: str) -> bool:
    """Whether the control plane behind this page has its Envoy's stream."""
    try:
        with urllib.request.urlopen(f"{web}/healthz", timeout=2) as response:  # noqa: S310 - an http address of ours
            return bool(json.load(response)["envoy_connected"])
    except OSError:
        return False


def process_ids(task: TaskInfo) -> list[int]:
    return [pid for pid in (task.pid, *task.child_pids) if pid is not None]


def is_there(pid: int) -> bool:
    """Until it was waited for: while a process dies its sockets may still be open."""
    return Path(f"/proc/{pid}").exists()


def served_by(web: str) -> set[str]:
    """The addresses of the tasks that the balancer behind this page sends calls to."""
    try:
        with urllib.request.urlopen(f"{web}/api/report", timeout=10) as response:  # noqa: S310 - an http address of ours
            services = json.load(response)["services"]
    except OSError:
        return set()
    targets = [target for service in services for target in service["targets"]]
    return {target["address"].rpartition(":")[0] for target in targets if target["state"] == "serving"}


def thread_names(pid: int) -> list[str]:
    return [comm.read_text() for comm in Path(f"/proc/{pid}/task").glob("*/comm")]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
