"""A task's containers as real ones, by podman, hardened whatever the task definition says.

The processes are ours to see: podman's containers have process id namespaces below ours, so they are signalled, found
by their mark and counted as any other process. podman finds its configuration by CONTAINERS_CONF and
CONTAINERS_STORAGE_CONF (local_aws/containers/podman.py writes them).
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from local_aws.deploy.images import Image
from local_aws.errors import LocalAwsError
from local_aws.process.processes import RUN_MARK, dies_with_us, kill_group
from local_aws.stand_in.ecs import task_network
from local_aws.stand_in.ecs.container import Container, HealthCheck, Place, declared_environment, task_environment
from local_aws.stand_in.settings import Settings

REPOSITORY = "localhost/grpc-lb"
START_SECONDS = 20.0
ULIMITS = {"nofile": 65535, "nproc": 32768}
LOOK_SECONDS = 0.01
HARDENED = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)
PODMAN_READS = ("TMPDIR", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF")


def local_image(reference: str) -> str:
    """The image built here for an asset: CDK tags it with the asset's hash."""
    return f"{REPOSITORY}:{reference.rpartition(':')[2]}"


def run_arguments(
    definition: Mapping[str, Any], override: Mapping[str, Any], place: Place, settings: Settings, *, pid_file: Path
) -> list[str]:
    """`podman run`'s, from a container definition."""
    environment = declared_environment(definition, override) | task_environment(place, settings)
    words = ["--name", container_name(place.task_id, definition), "--rm", "--pull=never", "--pidfile", str(pid_file)]
    # One for each task, made before; no name service, as nothing here asks for names.
    words += ["--network", f"ns:{task_network.namespace_path(place.task_id)}"]
    words += ["--hostname", f"ip-{place.address.replace('.', '-')}"]
    # Its output is ours, and its health is asked by ECS: no helper in between, no cgroup left behind.
    words += ["--log-driver=passthrough", "--no-healthcheck", "--cgroups=disabled", "--sdnotify=ignore"]
    words += HARDENED
    if definition.get("user"):
        words += ["--user", str(definition["user"])]
    for limit in ulimits(definition):
        words += ["--ulimit", limit]
    for mount in definition.get("mountPoints") or ():
        options = "ro" if mount.get("readOnly") else "rw"
        words += ["--volume", f"{volume_name(place.task_id, mount['sourceVolume'])}:{mount['containerPath']}:{options}"]
    for name, value in environment.items():
        words += ["--env", f"{name}={value}"]
    entrypoint = definition.get("entryPoint")
    if entrypoint:
        words += ["--entrypoint", entrypoint[0]]
    command = override.get("command") or definition.get("command") or ()
    return ["run", *words, local_image(definition["image"]), *(entrypoint or ())[1:], *command]


def container_name(task_id: str, definition: Mapping[str, Any]) -> str:
    return f"{task_id[:12]}-{definition['name']}"


def volume_name(task_id: str, name: str) -> str:
    return f"{task_id[:12]}-{name}"


def ulimits(definition: Mapping[str, Any]) -> list[str]:
    """As asked for, else a lot, and not above what this machine lets anyone have: podman's own defaults may be."""
    asked = {str(limit["name"]): (limit["softLimit"], limit["hardLimit"]) for limit in definition.get("ulimits") or ()}
    wanted = {name: (most, most) for name, most in ULIMITS.items()} | asked
    return [f"{name}={_allowed(name, soft)}:{_allowed(name, hard)}" for name, (soft, hard) in wanted.items()]


def _allowed(name: str, wanted: int) -> int:
    kind = getattr(resource, f"RLIMIT_{name.upper()}", None)
    ours = resource.getrlimit(kind)[1] if kind is not None else resource.RLIM_INFINITY
    return int(wanted) if ours == resource.RLIM_INFINITY else min(int(wanted), ours)


class PodmanContainer(Container):
    """The process of ours is podman's client, which ends with the container and hands on its exit code."""

    def __init__(
        self,
        client: asyncio.subprocess.Process,
        definition: Mapping[str, Any],
        place: Place,
        first_process: int,
    ) -> None:
        super().__init__(client, definition, {}, Image(place.folder, (), ()), place)
        self._client = client
        self.full_name = container_name(place.task_id, definition)
        self.pid = first_process

    async def ended(self) -> int:
        return await self._client.wait()

    def _signal(self, sign: signal.Signals) -> None:
        # While the client is there nobody else has this process id: podman waits for the container, then it ends.
        if self._client.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sign)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """To its first process: the kernel ends all of its process id namespace with it."""
        self._signal(signal.SIGKILL)

    async def is_healthy(self, check: HealthCheck) -> bool:
        process = await _podman("exec", self.full_name, *check.command)
        try:
            return await asyncio.wait_for(process.wait(), check.timeout_seconds) == 0
        except TimeoutError:
            return False
        finally:
            kill_group(process.pid)


class Podman:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._volumes: set[str] = set()

    async def enter(self, task_id: str, address: str, folder: Path) -> None:
        await asyncio.to_thread(folder.mkdir, parents=True)
        await task_network.make(task_id, address)

    async def start(self, definition: Mapping[str, Any], override: Mapping[str, Any], place: Place) -> Container:
        pid_file = place.folder / f"{definition['name']}.pid"
        self._volumes |= {volume_name(place.task_id, m["sourceVolume"]) for m in definition.get("mountPoints") or ()}
        arguments = run_arguments(definition, override, place, self._settings, pid_file=pid_file)
        client = await _podman(*arguments, log=place.log, mark=self._settings.mark)
        return PodmanContainer(client, definition, place, await _first_process(client, pid_file, place.log))

    async def leave(self, task_id: str, address: str) -> None:
        await task_network.take_away(task_id, address)
        if self._volumes:
            process = await _podman("volume", "rm", "--force", *self._volumes)
            await process.wait()


async def _first_process(client: asyncio.subprocess.Process, pid_file: Path, log: Path) -> int:
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    while client.returncode is None and asyncio.get_running_loop().time() < deadline:
        if (pid := _read_pid(pid_file)) is not None:
            return pid
        await asyncio.sleep(LOOK_SECONDS)
    kill_group(client.pid)
    raise LocalAwsError(f"podman must start the container within {START_SECONDS:g} s, got '{_last_line(log)}' ({log})")


def _read_pid(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _last_line(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").strip().splitlines()[-1:])


async def _podman(*arguments: str, log: Path | None = None, mark: str | None = None) -> asyncio.subprocess.Process:
    environment = {name: os.environ[name] for name in ("PATH", "HOME", *PODMAN_READS) if name in os.environ}
    if mark is not None:
        environment[RUN_MARK] = mark
    output = log.open("ab") if log is not None else None
    try:
        return await asyncio.create_subprocess_exec(
            *dies_with_us(["podman", *arguments]),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output or asyncio.subprocess.DEVNULL,
            stderr=output or asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        if output is not None:
            output.close()
