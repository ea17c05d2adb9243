"""Containers on the run's bridge, started by the very launcher that `make containers` deploys with."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from local_aws.addresses import BRIDGE
from local_aws.layout import TasksAs
from local_aws.stand_in.ecs.container import Container, Place
from local_aws.stand_in.ecs.podman import Podman, PodmanContainer
from local_aws.stand_in.settings import Settings
from rng_service.rng.v1 import random_number_pb2 as pb2
from rng_service.rng.v1 import random_number_pb2_grpc as pb2_grpc
from tests.waiting import PATIENCE_SECONDS

_hosts = itertools.count(200)


def settings(folder: Path) -> Settings:
    return Settings(
        range_number=BRIDGE.number,
        net=BRIDGE.net,
        tasks_as=TasksAs.CONTAINERS,
        region="us-east-1",
        mark=f"test-{folder}",
        python="",
        envoy="",
        bytecode="",
        images="",
        logs=str(folder),
        runtime=str(folder),
        control="",
    )


@asynccontextmanager
async def task(folder: Path, definition: Mapping[str, Any]) -> AsyncIterator[tuple[Container, Place]]:
    """A task of one container, for as long as the `async with` lasts."""
    host = next(_hosts)
    task_id = f"{host:032x}"[::-1]
    place = Place(task_id, BRIDGE.address(host), "", folder / task_id, folder / f"{task_id}.log")
    runtime = Podman(settings(folder))
    await runtime.enter(task_id, place.address, place.folder)
    container = None
    try:
        container = await runtime.start({"name": "it", **definition}, {}, place)
        yield container, place
    finally:
        if container is not None:
            container.kill()
            await container.ended()
        await runtime.leave(task_id, place.address)


async def until(what: str, found: Callable[[], bool], *, within: float = PATIENCE_SECONDS) -> None:
    deadline = asyncio.get_running_loop().time() + within
    while not found():
        assert asyncio.get_running_loop().time() < deadline, f"within {within:g} s it must be so that {what}"
        await asyncio.sleep(0.05)


async def exec_in(container: Container, code: str, python: str = "python") -> str:
    """What the code prints inside, as the container's own user."""
    assert isinstance(container, PodmanContainer)
    process = await asyncio.create_subprocess_exec(
        *("podman", "exec", container.full_name, python, "-c", code),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode().strip()


async def serving(address: str, *, within: float = 20) -> None:
    """Wait until a random number comes from the address."""
    async with asyncio.timeout(within), grpc.aio.insecure_channel(address) as channel:
        await pb2_grpc.RandomNumberStub(channel).Generate(pb2.GenerateRequest(min=1, max=6), wait_for_ready=True)
