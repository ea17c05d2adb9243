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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

RUN_MARK = "LOCAL_AWS_RUN"
TASK_MARK = "LOCAL_AWS_TASK"

_CHILD = Path(__file__).with_name("child.py")
_ENDED = (b"Z", b"X")  # proc(5)


def dies_with_us(command: Iterable[str]) -> list[str]:
    """The command, wrapped so that it is killed when the calling process ends."""
    return [sys.executable, "-I", "-S", str(_CHILD), str(os.getpid()), *command]


def marked(name: str, value: str) -> Iterator[int]:
    """Process ids, ours excepted, whose environment holds NAME=VALUE."""
    needle = f"{name}={value}".encode()
    for pid in _pids():
        environment = b"" if pid == os.getpid() else _read(pid, "environ")
        if needle in environment and needle in environment.split(b"\0") and not is_zombie(pid):
            yield pid


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
    return int(fields[19]) if fields else None  # proc(5): field 22, the first after the name is field 3


def is_zombie(pid: int) -> bool:
    fields = _stat(pid)
    return not fields or fields[0] in _ENDED


def children() -> dict[int, list[int]]:
    """Ids of the living children of every process that has any."""
    found: dict[int, list[int]] = {}
    for pid in _pids():
        fields = _stat(pid)
        if fields and fields[0] not in _ENDED:
            found.setdefault(int(fields[1]), []).append(pid)
    return found


def descendants(pid: int, of: Mapping[int, list[int]] | None = None) -> tuple[int, ...]:
    """Ids of the living children of a process, and theirs; of these children, or of those that there are now."""
    below = children() if of is None else of
    found: list[int] = []
    ahead = [pid]
    while ahead:
        ids = below.get(ahead.pop(), [])
        found += ids
        ahead += ids
    return tuple(sorted(found))


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208 - of hundreds, often


def _stat(pid: int) -> list[bytes]:
    """The fields after the name, which may hold spaces and brackets; empty if the process is gone."""
    return _read(pid, "stat").rpartition(b")")[2].split()


def _read(pid: int, name: str) -> bytes:
    """Empty if the process is gone, or another user's."""
    try:
        with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:  # noqa: PTH123 - the same
            return file.read()
    except OSError:
        return b""
