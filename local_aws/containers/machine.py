"""What the machine must be and have for `make containers`, and what of it apt can bring."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
from pathlib import Path

from local_aws.containers.namespaces import in_own
from local_aws.containers.places import CACHE
from local_aws.errors import LocalAwsError
from local_aws.process.commands import TAIL_LINES
from local_aws.progress import step

# Each tool, and Debian's package of it.
TOOLS = {
    "podman": "podman",
    "crun": "crun",
    "conmon": "conmon",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
}
# Asked for by podman at its start, found by no name on the PATH.
FILES = {Path("/usr/lib/podman/netavark"): "netavark"}

OVERLAY_PROBE = """
cd "$0" && mkdir lower upper work merged &&
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
"""


def why_not() -> str | None:
    """Why this machine cannot run containers of ours, in a sentence that names the fix; None if it can."""
    if platform.system() != "Linux":
        return f"the system must be Linux, got {platform.system()}; run it in a Linux virtual machine"
    if os.geteuid() != 0:
        return (
            f"the user must be root, got user id {os.geteuid()}: namespaces, mounts and packages are made; "
            "run it as root, in a checkout of root's own"
        )
    if packages_missing() and shutil.which("apt-get") is None:
        return f"{', '.join(packages_missing())} must be there, or apt-get to install them; install them"
    probe = CACHE / "probe"
    shutil.rmtree(probe, ignore_errors=True)
    probe.mkdir(parents=True)
    for command, what in ((["true"], "namespaces"), (["sh", "-c", OVERLAY_PROBE, str(probe)], "overlay mounts")):
        tried = subprocess.run(
            in_own(command, network=True), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if tried.returncode != 0:
            return (
                f"root must be allowed {what} of its own, got '{tried.stderr.strip()}'; "
                "in a container, start that one with --privileged and the checkout on a volume"
            )
    shutil.rmtree(probe, ignore_errors=True)
    return None


def packages_missing() -> list[str]:
    by_name = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    return by_name + [package for file, package in FILES.items() if not file.exists()]


async def install_missing() -> None:
    """Raises LocalAwsError."""
    packages = packages_missing()
    if not packages:
        return
    async with step(f"apt-get installs {' '.join(packages)} on this machine"):
        for words in (("update",), ("install", "--yes", "--no-install-recommends", *packages)):
            await asyncio.to_thread(_apt_get, *words)
    if packages_missing():
        raise LocalAwsError(f"{', '.join(packages_missing())} must be there after apt-get installed it, got nothing")


def _apt_get(*words: str) -> None:
    """In a session of its own and never killed by us: an interrupted install is the user's to repair."""
    command = ["apt-get", "--quiet", *words]
    finished = subprocess.run(
        command,
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if finished.returncode != 0:
        tail = "\n  ".join((finished.stdout + finished.stderr).strip().splitlines()[-TAIL_LINES:])
        raise LocalAwsError(f"apt-get {words[0]} must succeed, got exit code {finished.returncode}\n  {tail}")
