"""What tasks are made of: processes of this machine, or podman's containers. ECS's side is the same for both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from local_aws.deploy.images import ImageStore
from local_aws.layout import TasksAs
from local_aws.stand_in.ecs.between_containers import with_volumes
from local_aws.stand_in.ecs.container import Container, Place
from local_aws.stand_in.ecs.podman import Podman
from local_aws.stand_in.settings import Settings


class Runtime(Protocol):
    async def enter(self, task_id: str, address: str, folder: Path) -> None:
        """Make a task's own place, before its first container. Raises LocalAwsError."""

    async def start(self, definition: Mapping[str, Any], override: Mapping[str, Any], place: Place) -> Container:
        """Start one of its containers. Raises LocalAwsError."""

    async def leave(self, task_id: str, address: str) -> None:
        """Take the place away, after its last container, however the task ended. Never raises."""


class Processes:
    """The image's folder is the file system, a loopback address the network interface."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._images = ImageStore(Path(settings.images))

    async def enter(self, _task_id: str, _address: str, folder: Path) -> None:
        for name in ("state", "tmp"):
            (folder / name).mkdir(parents=True)

    async def start(self, definition: Mapping[str, Any], override: Mapping[str, Any], place: Place) -> Container:
        image = self._images.find(definition["image"])
        return await Container.start(image, with_volumes(definition, place.folder), override, place, self._settings)

    async def leave(self, _task_id: str, _address: str) -> None:
        return


def runtime_of(settings: Settings) -> Runtime:
    return Podman(settings) if settings.tasks_as is TasksAs.CONTAINERS else Processes(settings)
