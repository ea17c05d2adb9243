"""Processes that cannot outlive us, and finding every one that a run ever started.

Three nets, because each has a hole: the parent-death signal (does not reach grandchildren), process groups (a child may
leave its group), and a mark in the environment, which children inherit and /proc shows: whatever a run started can be
found and killed by it, and a recycled process id is never mistaken for one of ours.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

RUN_MARK = "LOCAL_AWS_RUN"
TASK_MARK = "LOCAL_AWS_TASK"

_CHILD = Path(__file__).with_name("child.py")
_PROC = Path("/proc")


def dies_with_us(command: Iterable[str]) -> list[str]:
    """The command, wrapped so that it is killed when the calling process ends."""
    return [sys.executable, "-I", "-S", str(_CHILD), str(os.getpid()), *command]


def marked(name: str, value: str) -> Iterator[int]:
    """Process ids, ours excepted, whose environment holds NAME=VALUE."""
    needle = f"{name}={value}".encode()
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):  # gone meanwhile, or another user's
            if needle in (entry / "environ").read_bytes().split(b"\0") and not is_zombie(int(entry.name)):
                yield int(entry.name)


def kill_marked(name: str, value: str, *, spare: Iterable[int] = (), within_seconds: float = 10) -> int:
    """Kill every marked process until none is left; how many there were. A scan may miss a child forked during it."""
    spared, killed = set(spare), set[int]()
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        found = {pid for pid in marked(name, value) if pid not in spared}
        if not found:
            break
        killed |= found
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return len(killed)


def kill_group(pid: int, sign: signal.Signals = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, sign)


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot: with its id it names a process for ever. None if gone."""
    fields = _stat(pid)
    return int(fields[19]) if fields is not None else None  # proc(5): field 22, the first after the name is field 3


def is_zombie(pid: int) -> bool:
    fields = _stat(pid)
    return fields is None or fields[0] in ("Z", "X")


def descendants(pid: int) -> tuple[int, ...]:
    """Ids of the living children of a process, and theirs."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            fields = _stat(int(entry.name))
            if fields is not None and fields[0] not in ("Z", "X"):
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    ahead = [pid]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return tuple(sorted(found))


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
