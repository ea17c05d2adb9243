"""The control plane's sign of life, which only its running event loop gives, and the supervisor's ear for it.

Over a datagram socket in the directory of the sockets: no port that may be taken, and no disk that may be slow.
"""

import asyncio
import contextlib
import socket
from pathlib import Path

BEAT_SECONDS = 3.0

# A control plane that was silent for this many beats, 30 s, hangs: it may be busy for some seconds with a large
# document. Its start, 120 s, takes long where the task has little CPU.
SILENT_TURNS = 10
START_TURNS = 40


async def beat(path: Path) -> None:
    """Says that this event loop runs, every few seconds, until it is cancelled; where nobody listens, it is lost."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        while True:
            with contextlib.suppress(OSError):
                sender.sendto(b"alive", str(path))
            await asyncio.sleep(BEAT_SECONDS)


class Ear:
    """Hears one process's heartbeat, and counts for how many turns of listening it did not."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path.unlink(missing_ok=True)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._pid: int | None = None
        self._has_beaten = False
        self.silent_turns = 0

    def listen(self, pid: int | None) -> None:
        """One turn. Turns are counted and no clock is read: where the whole task stood still, so did the heart."""
        heard = self._drain()
        if pid != self._pid:  # what was heard may be of the one before
            self._pid, self._has_beaten, self.silent_turns = pid, False, 0
        elif heard:
            self._has_beaten, self.silent_turns = True, 0
        elif pid is not None:
            self.silent_turns += 1

    def hears_nothing(self) -> bool:
        """Whether it fell silent for too long, or took too long to begin."""
        return self.silent_turns >= (SILENT_TURNS if self._has_beaten else START_TURNS)

    def close(self) -> None:
        self._socket.close()

    def _drain(self) -> bool:
        heard = False
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(16):
                heard = True
        return heard
