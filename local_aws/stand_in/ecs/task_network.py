"""A task's network as awsvpc gives it: a namespace with one interface, shared by the task's containers.

The interface is one end of a veth pair, the other is on the bridge of the run, all inside the run's own network
namespace. When the task is gone its address answers nothing, and a connect to it runs into its timeout, as to a dead
task on Fargate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from local_aws.errors import LocalAwsError
from local_aws.stand_in.ecs.records import mac_address

BRIDGE_NAME = "grpc-lb"
NAMESPACES = "/run/netns"  # where ip-netns(8) keeps them
PREFIX_LENGTH = 24


def namespace_name(task_id: str) -> str:
    return f"task-{task_id[:12]}"


def namespace_path(task_id: str) -> str:
    return f"{NAMESPACES}/{namespace_name(task_id)}"


def link_name(address: str) -> str:
    """Of the bridge's end; a name has 15 bytes at most."""
    return f"task{address.rpartition('.')[2]}"


def to_make(task_id: str, address: str) -> list[str]:
    """Commands for ip(8)."""
    space, link = namespace_name(task_id), link_name(address)
    return [
        f"netns add {space}",
        f"link add {link} type veth peer name eth0 address {mac_address(address)} netns {space}",
        f"link set {link} master {BRIDGE_NAME} up",
        f"-netns {space} address add {address}/{PREFIX_LENGTH} dev eth0",
        f"-netns {space} link set eth0 up",
        f"-netns {space} link set lo up",
    ]


def to_take_away(task_id: str, address: str) -> list[str]:
    return [f"link delete {link_name(address)}", f"netns delete {namespace_name(task_id)}"]


async def make(task_id: str, address: str) -> None:
    """Raises LocalAwsError."""
    await _ip(to_make(task_id, address))


async def take_away(task_id: str, address: str) -> None:
    for command in to_take_away(task_id, address):
        try:
            await _ip([command])
        except LocalAwsError:
            continue  # it was never made, or is gone with its last process


async def _ip(commands: Iterable[str]) -> None:
    for command in commands:
        process = await asyncio.create_subprocess_exec(
            "ip",
            *command.split(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, told = await process.communicate()
        if process.returncode != 0:
            raise LocalAwsError(f"ip {command} must succeed, got '{told.decode(errors='replace').strip()}'")
