"""One task from PROVISIONING to STOPPED."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from local_aws.errors import LocalAwsError
from local_aws.stand_in.ecs import records
from local_aws.stand_in.ecs.between_containers import dependencies, in_start_order
from local_aws.stand_in.ecs.container import (
    FIRST_HEALTH_CHECK_SECONDS,
    Container,
    HealthCheck,
    Place,
    kill_task_processes,
)
from local_aws.stand_in.ecs.records import Record
from local_aws.stand_in.ecs.runtimes import runtime_of
from local_aws.stand_in.settings import Settings

log = logging.getLogger("local_aws")

UNHEALTHY_REASON = "Task failed container health checks"


class TaskRun:
    """The processes of a task and the way its record goes. All of it runs on the ECS thread."""

    def __init__(
        self,
        task: Record,
        definition: Mapping[str, Any],
        settings: Settings,
        *,
        start_seconds: float,
        changed: Callable[[Record], None],
        health_changed: Callable[[Record], None],
        deregistration_seconds: Callable[[Record], float],
    ) -> None:
        self.task = task
        self.containers: list[Container] = []
        self._definition = definition
        self._settings = settings
        self._start_seconds = start_seconds
        self._runtime = runtime_of(settings)
        self._changed = changed
        self._health_changed = health_changed
        self._deregistration_seconds = deregistration_seconds
        self._stop_asked = asyncio.Event()
        self._waiting: list[asyncio.Task[Any]] = []
        self._keeper = asyncio.create_task(self._live())

    def stop(self, reason: str, code: str) -> None:
        """Tell the task to stop; the answer shows it at once, the rest follows by itself."""
        if not records.is_wanted(self.task):
            return
        self._advance(desired=records.STOPPED, stoppingAt=time.time(), stoppedReason=reason, stopCode=code)
        self._stop_asked.set()

    def kill(self) -> None:
        for container in self.containers:
            container.kill()
        kill_task_processes(records.task_id(self.task))

    async def _live(self) -> None:
        folder = Path(self._settings.runtime) / "t" / records.task_id(self.task)[:12]
        try:
            await self._run(folder)
        except Exception as error:
            log.exception("a task must not break its keeper")
            self._finished(f"{type(error).__name__}: {error}", "TaskFailedToStart")
        finally:
            self.kill()
            for waiting in self._waiting:
                waiting.cancel()
            await self._runtime.leave(records.task_id(self.task), self.task["_address"])
            shutil.rmtree(folder, ignore_errors=True)

    async def _run(self, folder: Path) -> None:
        self._changed(self.task)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop_asked.wait(), self._start_seconds)
        self._advance(last=records.PENDING)
        try:
            await self._start_containers(folder)
        except (LocalAwsError, OSError) as error:
            self._finished(f"CannotStartContainerError: {error}", "TaskFailedToStart")
            return
        if not self._stop_asked.is_set():
            self._advance(
                last=records.RUNNING, containers=records.RUNNING, startedAt=time.time(), pullStoppedAt=time.time()
            )
        ends = [self._wait_for(self._ended(container)) for container in self.containers]
        essential = [end for end, container in zip(ends, self.containers, strict=True) if container.essential]
        for container in self.containers:
            if container.health_check is not None:
                self._wait_for(self._check_health(container, container.health_check))
        asked = self._wait_for(self._stop_asked.wait())
        await asyncio.wait([asked, *(essential or ends)], return_when=asyncio.FIRST_COMPLETED)
        if not self._stop_asked.is_set():
            self._finished("Essential container in task exited", "EssentialContainerExited")
            return
        await self._stop_in_order()
        await asyncio.wait(ends)
        self._finished()

    async def _stop_in_order(self) -> None:
        wait = self._deregistration_seconds(self.task)
        if wait > 0:
            self._advance(last=records.DEACTIVATING)
            await asyncio.sleep(wait)
        self._advance(last=records.STOPPING)
        await asyncio.gather(*(container.stop() for container in self.containers))

    async def _start_containers(self, folder: Path) -> None:
        address = self.task["_address"]
        task_id = records.task_id(self.task)
        await self._runtime.enter(task_id, address, folder)
        metadata = f"http://{self._settings.addresses.metadata}/v4/{task_id}"
        overrides = {override["name"]: override for override in self.task["overrides"].get("containerOverrides") or ()}
        for definition in in_start_order(self._definition["containerDefinitions"]):
            name = definition["name"]
            for other, condition in dependencies(definition):
                await self._reaches(other, condition)
            if self._stop_asked.is_set():
                return
            log_file = Path(self._settings.logs) / f"{task_id}.log"
            role = self._definition.get("taskRoleArn")
            place = Place(task_id, address, f"{metadata}/{name}", folder, log_file, role)
            container = await self._runtime.start(definition, overrides.get(name, {}), place)
            self.containers.append(container)
            self.task["_pids"][name] = container.pid

    async def _reaches(self, name: str, condition: str) -> None:
        """Returns once a container has started or ended as another one needs it, or the task is to stop.

        HEALTHY is taken for START. Raises LocalAwsError.
        """
        if condition not in ("COMPLETE", "SUCCESS"):
            return
        container = next(each for each in self.containers if each.name == name)
        ended, asked = self._wait_for(container.ended()), self._wait_for(self._stop_asked.wait())
        await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            self.task["_pids"].pop(name, None)
            if condition == "SUCCESS" and ended.result() != 0:
                raise LocalAwsError(f"container {name} must end with 0, got {ended.result()}; see the task's log")

    async def _ended(self, container: Container) -> None:
        code = await container.ended()
        for shown in self.task["containers"]:
            if shown["name"] == container.name:
                shown["exitCode"], shown["lastStatus"] = code, records.STOPPED

    async def _check_health(self, container: Container, check: HealthCheck) -> None:
        """No event and no new version when it changes, as on ECS."""
        started, failures = time.monotonic(), 0
        while True:
            healthy = await container.is_healthy(check)
            failures = 0 if healthy else failures + (time.monotonic() - started > check.start_period_seconds)
            if healthy or failures >= check.retries:
                self._show_health(container, "HEALTHY" if healthy else "UNHEALTHY")
            is_healthy = self.task["healthStatus"] == "HEALTHY"
            await asyncio.sleep(check.interval_seconds if is_healthy else FIRST_HEALTH_CHECK_SECONDS)

    def _show_health(self, container: Container, health: str) -> None:
        before = self.task["healthStatus"]
        for shown in self.task["containers"]:
            if shown["name"] == container.name:
                shown["healthStatus"] = health
        checked = {c.name for c in self.containers if c.health_check is not None and c.essential}
        all_health = {shown["healthStatus"] for shown in self.task["containers"] if shown["name"] in checked}
        worst = next((state for state in ("UNHEALTHY", "UNKNOWN") if state in all_health), "HEALTHY")
        self.task["healthStatus"] = worst
        if worst == "UNHEALTHY" and self.task["group"].startswith("service:"):
            self.stop(UNHEALTHY_REASON, "ServiceSchedulerInitiated")
        elif worst != before:
            self._health_changed(self.task)

    def _wait_for(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        waiting = asyncio.create_task(coroutine)
        self._waiting.append(waiting)
        return waiting

    def _advance(self, **changes: Any) -> None:
        records.change(self.task, **changes)
        self._changed(self.task)

    def _finished(self, reason: str | None = None, code: str | None = None) -> None:
        now = time.time()
        ended: dict[str, Any] = {"executionStoppedAt": now}
        if reason is not None:
            ended |= {"desired": records.STOPPED, "stoppingAt": now, "stoppedReason": reason, "stopCode": code}
        self.kill()
        self._advance(last=records.DEPROVISIONING, containers=records.STOPPED, **ended)
        with suppress(IndexError):
            self.task["attachments"][0]["status"] = "DELETED"
        self.task["_pids"] = {}
        self._advance(last=records.STOPPED, stoppedAt=now)
