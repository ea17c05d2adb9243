"""The scene that only containers can play: what was deployed runs in containers, and hardened ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from local_aws.demo.claims import Claim
from local_aws.demo.scenes import Claims
from local_aws.demo.stage import Stage, process_ids
from local_aws.stack import TaskInfo

NAMESPACES = ("mnt", "net", "pid")


@dataclass(frozen=True, slots=True)
class Confined:
    """What the kernel says of a process."""

    own_namespaces: bool
    root_is_read_only: bool
    capabilities: str
    no_new_privileges: bool
    users: frozenset[str]


WANTED: Mapping[str, Callable[[Confined], bool]] = {
    "in namespaces of its own": lambda seen: seen.own_namespaces,
    "with a read-only root file system": lambda seen: seen.root_is_read_only,
    "without a capability": lambda seen: int(seen.capabilities, 16) == 0,
    "without new privileges": lambda seen: seen.no_new_privileges,
    "not root": lambda seen: "0" not in seen.users,
}


async def hardened(stage: Stage) -> Claims:
    """Asked of the kernel, for every process of every task."""
    tasks = [*await stage.numbers(), *await stage.balancers()]
    seen = {pid: look(pid) for task in tasks for pid in process_ids(task)}
    yield claim(tasks, seen)


def claim(tasks: list[TaskInfo], seen: Mapping[int, Confined]) -> Claim:
    missed = [
        f"process {pid} is not {what}" for pid, it in seen.items() for what, holds in WANTED.items() if not holds(it)
    ]
    addresses = ", ".join(sorted((task.ip for task in tasks), key=ip_address))
    told = f"{len(seen)} processes of {len(tasks)} tasks on {addresses}" + "".join(
        f"; {miss.upper()}" for miss in missed
    )
    held = not missed and len(tasks) > 0 and all(task.pid in seen for task in tasks)
    figures = {"tasks": len(tasks), "processes": len(seen), "missed": missed}
    return Claim(f"every process of a task runs {', '.join(WANTED)}", told, held, figures)


def look(pid: int) -> Confined:
    status = dict(
        line.partition(":")[::2] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    mounts = (line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines())
    # proc(5): the fifth field is the mount point, the sixth its options; the last mount on a point is the one seen.
    root = {fields[4]: fields[5].split(",") for fields in mounts}["/"]
    return Confined(
        own_namespaces=all(namespace(pid, kind) != namespace("self", kind) for kind in NAMESPACES),
        root_is_read_only="ro" in root,
        capabilities=max(status[f"Cap{kind}"].strip() for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")),
        no_new_privileges=status["NoNewPrivs"].strip() == "1",
        users=frozenset(status["Uid"].split()),
    )


def namespace(pid: int | str, kind: str) -> str:
    return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
