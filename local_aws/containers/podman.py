"""podman's configuration: its own storage, so that no other container or image of the machine is seen or touched.

Images are kept in build/containers/. Containers, on the other hand, live in a temporary file system of the namespaces
they run in, on top of those images: when the namespaces end, the kernel takes back all of it, whatever killed the run.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from local_aws.containers.places import CONFIGURATION, STORAGE
from local_aws.stand_in.ecs.podman import ulimits

CONTAINERS = CONFIGURATION / "containers.conf"
TO_BUILD = CONFIGURATION / "storage-to-build.conf"
TO_RUN = CONFIGURATION / "storage-to-run.conf"
PLACE = CONFIGURATION / "made-for"
RUNTIME_FOLDER = "/run/grpc-lb"


def write_configuration() -> None:
    """And forget what a moved or copied checkout brought along: podman's records know places by their paths."""
    if not PLACE.exists() or PLACE.read_text() != str(STORAGE):
        shutil.rmtree(STORAGE, ignore_errors=True)
        PLACE.parent.mkdir(parents=True, exist_ok=True)
        PLACE.write_text(str(STORAGE))
    CONFIGURATION.mkdir(parents=True, exist_ok=True)
    CONTAINERS.write_text(containers_conf())
    TO_BUILD.write_text(storage_conf(STORAGE))
    TO_RUN.write_text(storage_conf(Path(RUNTIME_FOLDER) / "storage", images=STORAGE))


def environment(storage: Path) -> dict[str, str]:
    return {"CONTAINERS_CONF": str(CONTAINERS), "CONTAINERS_STORAGE_CONF": str(storage)}


def containers_conf() -> str:
    return f"""\
[containers]
# podman's defaults may be more than this machine lets anyone have.
default_ulimits = {json.dumps(ulimits({}))}
[engine]
# It can run containers without a cgroup of their own, which would outlive a killed run. runc cannot.
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_backend = "netavark"
"""


def storage_conf(graph_root: Path, *, images: Path | None = None) -> str:
    others = [str(images)] if images is not None else []
    return f"""\
[storage]
driver = "overlay"
graphroot = {json.dumps(str(graph_root))}
runroot = {json.dumps(RUNTIME_FOLDER + "/state")}
[storage.options]
additionalimagestores = {json.dumps(others)}
"""
