"""Checks before anything starts: a state directory of one's own, a directory for sockets, free ports."""

import errno
import fcntl
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from proxy_image.settings import Settings

# sun_path holds 108 bytes, the last of them zero (unix(7)); macOS has 104. The longest name in the directory is added.
_MAX_SOCKET_PATH = 103
_MAX_NAME = len("/admin.sock")

# A balancer that was killed a moment ago may still be letting go of its ports.
_PORT_PATIENCE_SECONDS = 1.0


class PreflightError(OSError):
    """Something on this machine is in the way; `problems` holds one sentence each, with the fix."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """The locked state directory; the lock lives as long as this process keeps the file open."""

    run_dir: Path
    lock: IO[bytes]


def take_state_directory(settings: Settings) -> StateDirectory:
    """Makes, locks and tidies the state directory, and makes a private directory for the sockets."""
    path = settings.state_dir
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / "lock").open("wb")
    except OSError as error:
        raise PreflightError(
            (f"GRPC_LB_STATE_DIR (--state-dir) must be a directory to write to, {path} is not: {error.strerror}",)
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise PreflightError(
            (f"GRPC_LB_STATE_DIR (--state-dir) must be one balancer's own, another one uses {path}: choose another",)
        ) from error
    return StateDirectory(run_dir=_make_run_dir(path / "run"), lock=lock)


def _make_run_dir(wanted: Path) -> Path:
    """A fresh directory for the owner alone; at a shorter path, with a link to it, where `wanted` is too long."""
    remove_run_dir(wanted)
    if len(os.fsencode(wanted)) + _MAX_NAME <= _MAX_SOCKET_PATH:
        wanted.mkdir(mode=0o700)
        return wanted
    for parent in (None, "/tmp"):  # noqa: S108 - mkdtemp makes a private directory with a name nobody can guess
        made = Path(tempfile.mkdtemp(prefix="grpc-lb-", dir=parent))
        if len(os.fsencode(made)) + _MAX_NAME <= _MAX_SOCKET_PATH:
            wanted.symlink_to(made)
            return made
        made.rmdir()
    raise PreflightError((f"GRPC_LB_STATE_DIR (--state-dir) must be at most 80 bytes long, got {wanted.parent}",))


def remove_run_dir(path: Path) -> None:
    """Removes the sockets' directory of this or an earlier supervisor, and what a link of ours points to."""
    if path.is_symlink():
        target = path.readlink()
        if target.name.startswith("grpc-lb-") and target.is_dir() and not target.is_symlink():
            owned = target.stat()
            if owned.st_uid == os.getuid() and stat.S_IMODE(owned.st_mode) == 0o700:
                shutil.rmtree(target, ignore_errors=True)
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def check_ports(settings: Settings) -> None:
    """Raises PreflightError that names each port which is taken, and the setting to change."""
    ports = (
        *((("GRPC_LB_PORT (--port)", settings.port),) if settings.has_envoy else ()),
        ("GRPC_LB_READY_PORT (--ready-port)", settings.ready_port),
        ("GRPC_LB_WEB_PORT (--web-port)", settings.web_port),
        ("GRPC_LB_XDS_PORT (--xds-port)", settings.xds_port),
    )
    deadline = time.monotonic() + _PORT_PATIENCE_SECONDS
    while problems := tuple(_port_problems(settings.bind_address, ports)):
        if time.monotonic() > deadline:
            raise PreflightError(problems)
        time.sleep(0.1)


def _port_problems(address: str, ports: Iterable[tuple[str, int]]) -> Iterable[str]:
    for setting, port in ports:
        try:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
                probe.listen(1)  # two sockets may be bound with SO_REUSEADDR where only one may listen
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                yield f"BIND_ADDRESS (--bind) must be an address of this machine, got {address}"
                return
            reason = {
                errno.EADDRINUSE: "is taken by another program: stop it, or choose another port",
                errno.EACCES: "may not be used by this user: choose a port from 1024 up",
            }.get(error.errno or 0, f"cannot be used: {error.strerror}")
            yield f"{setting} must be a free port, {port} on {address} {reason}"
