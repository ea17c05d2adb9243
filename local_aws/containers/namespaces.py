"""Namespaces of our own around everything that mounts, makes interfaces or runs containers.

The first process of a process id namespace takes all others with it when it ends, and the kernel then takes back the
mounts and interfaces that only they could see. So whatever ends a run, also SIGKILL to all of ours, nothing is left.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from local_aws.addresses import BALANCER_HOSTS, BRIDGE, FRONT_HOST, GATEWAY_HOST, METADATA_HOST
from local_aws.errors import LocalAwsError
from local_aws.stand_in.ecs.task_network import BRIDGE_NAME, NAMESPACES, PREFIX_LENGTH


def in_own(command: Sequence[str], *, network: bool) -> list[str]:
    """The command in mount and process id namespaces of its own; with `network`, cut off from every other network.

    unshare(1): --kill-child ends it all when unshare itself is killed.
    """
    spaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *(["--net"] if network else [])]
    return ["unshare", *spaces, "--", *command]


def prepare_run() -> None:
    """Inside: a private /run for podman's state and task networks, no cgroups to leave behind, and the bridge."""
    prepare_build()
    Path(NAMESPACES).mkdir()
    # With the machine's cgroups out of sight, nothing can make one in there.
    with suppress(LocalAwsError):
        _run("umount", "--recursive", "/sys/fs/cgroup")
    _run("mount", "-t", "tmpfs", "tmpfs", "/sys/fs/cgroup")
    for command in bridge_commands():
        _run("ip", *command.split())


def prepare_build() -> None:
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    temporary = Path("/run/tmp")
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary)


def bridge_commands() -> list[str]:
    """For ip(8): what stands on the machine's side has its addresses on the bridge itself."""
    hosts = [FRONT_HOST, GATEWAY_HOST, METADATA_HOST, *BALANCER_HOSTS]
    return [
        "link set lo up",
        f"link add {BRIDGE_NAME} type bridge",
        *(f"address add {BRIDGE.address(host)}/{PREFIX_LENGTH} dev {BRIDGE_NAME}" for host in hosts),
        f"link set {BRIDGE_NAME} up",
    ]


def run_as_first_process(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Start the command, reap whoever is left to us as the namespace's first process, and end as the command does."""
    child = os.posix_spawnp(command[0], list(command), dict(environment))

    def hand_on(number: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, hand_on)
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _run(*command: str) -> None:
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise LocalAwsError(f"{' '.join(command)} must succeed, got '{finished.stderr.strip()}'")
