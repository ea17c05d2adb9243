"""podman's containers behind the same interface as processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local_aws.errors import LocalAwsError
from local_aws.stand_in.ecs import task_network
from local_aws.stand_in.ecs.container import Place
from local_aws.stand_in.ecs.podman import volume_name
from tests.containers.conftest import podman
from tests.containers.running import exec_in, task, until

pytestmark = pytest.mark.needs_podman

WAIT = "import signal; signal.pause()"
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('ready')
while True:
    signal.pause()
"""
POLITE = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('ready'); signal.pause()"


def python(images: dict[str, str], code: str, **more: Any) -> dict[str, Any]:
    return {"image": images["rng_service"], "entryPoint": ["python", "-c", code]} | more


async def said(place: Place) -> None:
    await until("it has said that it is ready", lambda: "ready" in place.log.read_text())


def exists(path: str) -> bool:
    return Path(path).exists()


async def test_a_container_has_the_address_and_the_environment_of_its_task(
    images: dict[str, str], tmp_path: Path
) -> None:
    declared = [{"name": "GREETING", "value": "it's = here"}, {"name": "AWS_REGION", "value": "elsewhere"}]
    async with task(tmp_path, python(images, WAIT, environment=declared)) as (container, _):
        told = "import os; print(os.environ['GREETING'], os.environ['AWS_REGION'], os.environ['AWS_ENDPOINT_URL'])"
        assert await exec_in(container, told) == "it's = here us-east-1 http://10.88.0.1:4566"
        interfaces = "import socket; print(*sorted(name for _, name in socket.if_nameindex()))"
        assert await exec_in(container, interfaces) == "eth0 lo"


async def test_a_container_ends_with_its_own_exit_code(images: dict[str, str], tmp_path: Path) -> None:
    async with task(tmp_path, python(images, "import sys; print('said'); sys.exit(3)")) as (container, place):
        assert await container.ended() == 3
        assert "said" in place.log.read_text()


async def test_a_container_told_to_stop_gets_sigterm_and_time_then_sigkill(
    images: dict[str, str], tmp_path: Path
) -> None:
    async with task(tmp_path, python(images, POLITE)) as (polite, place):
        await said(place)
        await polite.stop()
        assert await polite.ended() == 7
    async with task(tmp_path, python(images, DEAF, stopTimeout=1)) as (deaf, place):
        await said(place)
        await deaf.stop()
        assert await deaf.ended() == 137


async def test_nothing_is_left_of_a_killed_task(images: dict[str, str], tmp_path: Path) -> None:
    # GIVEN a task with a volume, whose container has a second process
    mount = {"sourceVolume": "state", "containerPath": "/srv/state"}
    fork = "import os; os.fork(); " + WAIT
    async with task(tmp_path, python(images, fork, mountPoints=[mount])) as (container, place):
        assert volume_name(place.task_id, "state") in podman("volume", "ls", "--quiet").stdout
        # WHEN it is killed
        container.kill()
        assert await container.ended() == 137
        assert not exists(f"/proc/{container.pid}")
    # THEN its container, volume, interface and namespace are gone
    assert podman("ps", "--all", "--quiet").stdout == ""
    assert podman("volume", "ls", "--quiet").stdout == ""
    assert not exists(task_network.namespace_path(place.task_id))
    assert not exists(f"/sys/class/net/{task_network.link_name(place.address)}")


async def test_an_image_that_was_not_built_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalAwsError, match=r"podman must start the container .*localhost/grpc-lb:nothing"):
        async with task(tmp_path, {"image": "registry/repository:nothing"}):
            pass
