"""A container as a process group: its command, its environment, its health check, its end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_aws.deploy.images import Image
from local_aws.errors import LocalAwsError
from local_aws.process.processes import RUN_MARK, TASK_MARK, dies_with_us, kill_group, kill_marked
from local_aws.stand_in.settings import Settings

DEFAULT_STOP_TIMEOUT_SECONDS = 30  # Fargate's; at most 120
FIRST_HEALTH_CHECK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """Where one task lives: its address and its own writable folders."""

    task_id: str
    address: str
    metadata_uri: str
    folder: Path
    log: Path
    role: str | None = None
    """The task's role; a task without one may call no AWS API."""


NO_ROLE = "arn:aws:iam::000000000000:role/none"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    command: tuple[str, ...]
    interval_seconds: float
    timeout_seconds: float
    retries: int
    start_period_seconds: float


def command_of(image: Image, definition: Mapping[str, Any], override: Mapping[str, Any], python: str) -> list[str]:
    """As docker does: an entryPoint of the definition resets the image's command."""
    if definition.get("entryPoint"):
        entrypoint, command = list(definition["entryPoint"]), list(definition.get("command") or ())
    else:
        entrypoint, command = list(image.entrypoint), list(definition.get("command") or image.command)
    words = entrypoint + list(override.get("command") or command)
    if not words:
        raise LocalAwsError(f"an image must name its command, got none in {image.context}; add an ENTRYPOINT")
    return [python, *words[1:]] if re.fullmatch(r"(?:/\S*/)?python[0-9.]*", words[0]) else words


def environment_of(
    image: Image, definition: Mapping[str, Any], override: Mapping[str, Any], place: Place, settings: Settings
) -> dict[str, str]:
    """The image's, then the definition's, then the run's; what a process needs to be this very task comes last."""
    return {
        "PATH": f"{Path(settings.python).parent}:{os.environ.get('PATH', os.defpath)}",
        "LANG": "C.UTF-8",
        "HOME": str(place.folder),
        # The image's own PATH leads to a Python inside the image.
        **{name: value for name, value in image.environment.items() if name != "PATH"},
        **declared_environment(definition, override),
        **task_environment(place, settings),
        "BIND_ADDRESS": place.address,
        "GRPC_LB_STATE_DIR": str(place.folder / "state"),
        "TMPDIR": str(place.folder / "tmp"),
        "PYTHONUNBUFFERED": "1",
        # An image's Python has no need to write any. Here the prefix keeps it out of the folder, a deployed asset.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": settings.bytecode,
    }


def declared_environment(definition: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, str]:
    declared = [*(definition.get("environment") or ()), *(override.get("environment") or ())]
    return {str(variable["name"]): str(variable["value"]) for variable in declared}


def task_environment(place: Place, settings: Settings) -> dict[str, str]:
    """What ECS gives a task of its own, and the marks by which its processes are found."""
    return {
        "AWS_ENDPOINT_URL": settings.addresses.front,
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        # What names the caller to AWS here; ECS has the agent give out a session of the role.
        "AWS_SESSION_TOKEN": place.role or NO_ROLE,
        "AWS_EC2_METADATA_DISABLED": "true",
        "ECS_CONTAINER_METADATA_URI_V4": place.metadata_uri,
        # A real NLB goes on sending new connections for half a minute after a target turned unready; this one does not.
        "GRPC_LB_DRAIN_DELAY_SECONDS": "5",
        RUN_MARK: settings.mark,
        TASK_MARK: place.task_id,
    }


def health_check_of(definition: Mapping[str, Any]) -> HealthCheck | None:
    check = definition.get("healthCheck")
    if not check:
        return None
    kind, *words = check["command"]
    command = (
        ("/bin/sh", "-c", " ".join(words)) if kind == "CMD-SHELL" else tuple(words if kind == "CMD" else (kind, *words))
    )
    return HealthCheck(
        command,
        interval_seconds=float(check.get("interval") or 30),
        timeout_seconds=float(check.get("timeout") or 5),
        retries=int(check.get("retries") or 3),
        start_period_seconds=float(check.get("startPeriod") or 0),
    )


class Container:
    """A running container. It is started in a session of its own, so its id is that of its process group."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        definition: Mapping[str, Any],
        environment: Mapping[str, str],
        image: Image,
        place: Place,
    ) -> None:
        self.pid = process.pid
        self.name = str(definition["name"])
        self.essential = bool(definition.get("essential", True))
        self.stop_timeout = float(definition.get("stopTimeout") or DEFAULT_STOP_TIMEOUT_SECONDS)
        self.health_check = health_check_of(definition)
        self._process = process
        self._environment = environment
        self._image = image
        self._place = place

    @classmethod
    async def start(
        cls, image: Image, definition: Mapping[str, Any], override: Mapping[str, Any], place: Place, settings: Settings
    ) -> Container:
        command = command_of(image, definition, override, settings.python)
        environment = environment_of(image, definition, override, place, settings)
        with place.log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *dies_with_us(command),
                cwd=image.context,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return cls(process, definition, environment, image, place)

    async def ended(self) -> int:
        """Its exit code as docker tells it. What it leaves behind ends with it, as in a container."""
        code = await self._process.wait()
        kill_group(self.pid)
        return code if code >= 0 else 128 - code

    async def stop(self) -> None:
        """SIGTERM to the first process, as a container gets it; SIGKILL to all after the stop timeout."""
        self.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), self.stop_timeout)
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def terminate(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        # Once it has ended, its id may be that of a group of somebody else.
        if self._process.returncode is None:
            kill_group(self.pid)

    async def is_healthy(self, check: HealthCheck) -> bool:
        # Inside a container the loopback address is the task's own; here that is the task's address.
        command = [re.sub(r"\blocalhost\b|\b127\.0\.0\.1\b", self._place.address, word) for word in check.command]
        process = await asyncio.create_subprocess_exec(
            *dies_with_us(command),
            cwd=self._image.context,
            env=dict(self._environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return await asyncio.wait_for(process.wait(), check.timeout_seconds) == 0
        except TimeoutError:
            return False
        finally:
            kill_group(process.pid)


def kill_task_processes(task_id: str) -> None:
    """All that the task ever started, also what left its process group."""
    kill_marked(TASK_MARK, task_id, within_seconds=2)
