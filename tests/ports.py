"""Ports for servers that tests start: no two tests are given the same one, in whichever process they run."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections import deque
from pathlib import Path

# Below the ports that outgoing connections get: one of those may take a port between the look and the server's start.
FIRST, LAST = 12_000, 31_999
# What a process was given is nobody else's until it has been given so many more, or ends.
MAX_HELD = 400


class PortClaims:
    """Claims on ports, as locks on the bytes of one file: the system gives them back however a process ends."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._held: deque[int] = deque()
        self._random = random.SystemRandom()

    def take(self, count: int) -> list[int]:
        """Ports of 127.0.0.1 that nobody listens on and no other process has claimed."""
        found: list[int] = []
        while len(found) < count:
            port = self._random.randint(FIRST, LAST)
            # A process's own locks do not stop it.
            if port not in self._held and self._claim(port):
                self._held.append(port)
                if _is_free(port):
                    found.append(port)
        while len(self._held) > MAX_HELD:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, self._held.popleft())
        return found

    def _claim(self, port: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


# POSIX locks are lost when a process closes any descriptor of the file, so each process opens it once.
_claims: tuple[int, PortClaims] | None = None


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, and that no other test is given meanwhile."""
    global _claims
    if _claims is None or _claims[0] != os.getpid():
        path = Path(tempfile.gettempdir()) / f"cdk-grpc-lb-test-ports-{os.getuid()}"
        _claims = (os.getpid(), PortClaims(path))
    return _claims[1].take(count)
