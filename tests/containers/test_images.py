"""The images as they were built: what they hold, what they may do, and how their first process behaves."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from local_aws.stand_in.ecs.container import Container
from rng_service.rng.v1 import random_number_pb2 as pb2
from rng_service.rng.v1 import random_number_pb2_grpc as pb2_grpc
from tests.containers.conftest import podman
from tests.containers.running import exec_in, serving, task, until

pytestmark = pytest.mark.needs_podman

BOTH = pytest.mark.parametrize("name", ["rng_service", "proxy_image"])
MAX_BYTES = 300_000_000
PIP_OR_COMPILER = re.compile(
    r"pip[0-9.]*|pip-.*|ensurepip|python-wheels|(.*-)?(gcc|g\+\+|cpp)(-[0-9]+)?|cc|cc1|c99|c\+\+|clang.*|tcc|make|ld|as"
)
# The packages' names, and a folder for a debugger.
NO_PROGRAMS = {Path("/var/lib/dpkg"), Path("/usr/share/gcc")}
IDLE = ["python", "-c", "import signal; signal.pause()"]
LIST_ALL = """
import os
for folder, inside, files in os.walk('/'):
    if folder == '/':
        inside[:] = [name for name in inside if name not in ('proc', 'sys', 'dev')]
    for name in inside + files:
        print(os.path.join(folder, name))
"""
WRITABLE = {"rng_service": [], "proxy_image": ["/var/lib/grpc-lb"]}
# Tries to write in every folder of the container's own file systems, as its own user.
TRY_TO_WRITE = """
import os
for folder, inside, _ in os.walk('/'):
    if folder == '/':
        inside[:] = [name for name in inside if name not in ('proc', 'sys', 'dev')]
    try:
        os.close(os.open(f'{folder}/probe', os.O_CREAT | os.O_WRONLY))
        os.unlink(f'{folder}/probe')
        print(folder)
        inside.clear()
    except OSError:
        pass
"""
LEAVE_AN_ORPHAN = """
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.1)
    os._exit(0)
os.wait()
"""
BALANCER_WITH = """
import os, pathlib
pathlib.Path('/var/lib/grpc-lb/targets.json').write_text('{{"services": [{{"name": "rng", "targets": ["{target}"]}}]}}')
os.execvp('python', ['python', '-m', 'proxy_image'])
"""
ENVIRONMENT = [
    {"name": "GRPC_LB_DRAIN_DELAY_SECONDS", "value": "0.5"},
    {"name": "GRPC_LB_DRAIN_SECONDS", "value": "10"},
    {"name": "GRPC_LB_TARGETS_FILE", "value": "/var/lib/grpc-lb/targets.json"},
    {"name": "SHUTDOWN_GRACE_SECONDS", "value": "0.5"},
]


def inspected(tag: str) -> dict[str, Any]:
    return dict(json.loads(podman("image", "inspect", tag).stdout)[0])


def definition(images: dict[str, str], name: str, **more: Any) -> dict[str, Any]:
    return {"image": images[name], "environment": ENVIRONMENT} | more


def balancer_of(images: dict[str, str], target: str) -> dict[str, Any]:
    return definition(images, "proxy_image", entryPoint=["python", "-c", BALANCER_WITH.format(target=target)])


@BOTH
def test_an_image_is_small(images: dict[str, str], name: str) -> None:
    assert inspected(images[name])["Size"] < MAX_BYTES


@BOTH
def test_an_image_says_who_runs_what_and_how_it_is_asked_for_its_health(images: dict[str, str], name: str) -> None:
    config = inspected(images[name])["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["python", "-m", name]
    assert config["StopSignal"] == "SIGTERM"
    assert inspected(images[name])["Healthcheck"]["Test"][:3] == ["CMD", "python", "-m"]


@BOTH
async def test_an_image_holds_no_pip_no_compiler_and_nothing_of_its_build(
    images: dict[str, str], name: str, tmp_path: Path
) -> None:
    # GIVEN every path in the image, asked for by its root user
    async with task(tmp_path, definition(images, name, entryPoint=IDLE, user="0:0")) as (container, _):
        paths = [Path(path) for path in (await exec_in(container, LIST_ALL)).splitlines()]
    # THEN none is pip's or a compiler's, where it could be run or imported
    assert Path("/opt/venv/bin/python") in paths
    suspects = [path for path in paths if PIP_OR_COMPILER.fullmatch(path.name)]
    assert not [path for path in suspects if not {path, *path.parents} & NO_PROGRAMS]
    # AND none was left by the build
    assert not {path for path in paths if path.parent in (Path("/mnt"), Path("/tmp"))}  # noqa: S108 - the image's own
    assert Path("/etc/pip.conf") not in paths


@BOTH
def test_nothing_of_pips_settings_is_in_the_environment_or_the_history(images: dict[str, str], name: str) -> None:
    assert not [entry for entry in inspected(images[name])["Config"]["Env"] if "PIP" in entry or "CERT" in entry]
    assert "PIP_" not in json.dumps(inspected(images[name])["History"])


@BOTH
async def test_invariant_12_the_container_is_not_root_and_nothing_can_be_written_but_the_state(
    images: dict[str, str], name: str, tmp_path: Path
) -> None:
    async with task(tmp_path, definition(images, name, entryPoint=IDLE)) as (container, _):
        assert (
            await exec_in(container, "import os; print(os.getuid(), os.getgid(), os.getgroups())") == "10001 10001 []"
        )
        assert (await exec_in(container, TRY_TO_WRITE)).split() == WRITABLE[name]
        no_pip = "import importlib.util as u; print(u.find_spec('pip'), u.find_spec('ensurepip'))"
        assert await exec_in(container, no_pip) == "None None"
        assert await exec_in(container, no_pip, python="/usr/bin/python3") == "None None"


@BOTH
async def test_the_first_process_reaps_what_others_leave_behind(
    images: dict[str, str], name: str, tmp_path: Path
) -> None:
    async with task(tmp_path, definition(images, "rng_service")) as (server, place):
        if name == "rng_service":
            await reaps(server, f"{place.address}:50051")
            return
        async with task(tmp_path, balancer_of(images, f"{place.address}:50051")) as (balancer, front):
            await reaps(balancer, f"{front.address}:50051")


async def reaps(container: Container, address: str) -> None:
    # GIVEN a container that serves
    await serving(address)
    # WHEN a process in it leaves another behind, which ends
    for _ in range(3):
        await exec_in(container, LEAVE_AN_ORPHAN)
    # THEN nothing is left of that
    await until("the first process has reaped them", lambda: not zombies_below(container.pid))


def zombies_below(pid: int) -> list[int]:
    """Ended children of the process that it did not wait for."""
    stats = [entry / "stat" for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    fields = [(int(stat.parent.name), stat.read_text().rpartition(")")[2].split()) for stat in stats if stat.exists()]
    return [child for child, (state, parent, *_) in fields if state == "Z" and int(parent) == pid]


async def test_a_task_told_to_stop_finishes_its_stream_and_ends_with_zero(
    images: dict[str, str], tmp_path: Path
) -> None:
    # GIVEN a stream that runs through a balancer to a server
    async with (
        task(tmp_path, definition(images, "rng_service")) as (server, behind),
        task(tmp_path, balancer_of(images, f"{behind.address}:50051")) as (balancer, front),
    ):
        await serving(f"{front.address}:50051")
        async with grpc.aio.insecure_channel(f"{front.address}:50051") as channel:
            request = pb2.StreamRequest(min=1, max=6, count=30, interval=Duration(nanos=100_000_000))
            stream = pb2_grpc.RandomNumberStub(channel).Stream(request)
            answers = aiter(stream)
            numbers = [await anext(answers)]
            # WHEN the first process of both gets SIGTERM
            for container in (balancer, server):
                container.terminate()
            # THEN the stream comes to its own end
            numbers += [answer async for answer in answers]
            assert await stream.code() is grpc.StatusCode.OK
            assert len(numbers) == 30
        # AND both end by themselves, in order
        async with asyncio.timeout(60):
            assert await balancer.ended() == 0
            assert await server.ended() == 0


@BOTH
async def test_the_health_check_of_the_image_tells_a_serving_container_from_one_that_does_nothing(
    images: dict[str, str], name: str, tmp_path: Path
) -> None:
    check = {"healthCheck": {"command": inspected(images[name])["Healthcheck"]["Test"]}}
    idle = definition(images, name, entryPoint=IDLE)
    async with task(tmp_path, definition(images, "rng_service") | check) as (server, behind):
        balanced = balancer_of(images, f"{behind.address}:50051") | check
        await serving(f"{behind.address}:50051")
        if name == "rng_service":
            assert await is_healthy(server)
        else:
            async with task(tmp_path, balanced) as (balancer, front):
                await serving(f"{front.address}:50051")
                assert await is_healthy(balancer)
    async with task(tmp_path, idle | check) as (container, _):
        assert not await is_healthy(container)


async def is_healthy(container: Container) -> bool:
    assert container.health_check is not None
    return await container.is_healthy(container.health_check)
