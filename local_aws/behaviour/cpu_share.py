"""A share of a CPU for a process, as Lambda gives it: what it used beyond its share it has to wait for.

Linux's own quota (cgroups) needs rights that a test has not, so the process is stopped and continued by signals, in
periods as short as Lambda's.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

PERIOD_SECONDS = 0.02


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process so far. Raises `OSError` where it is gone."""
    # clock_getcpuclockid(3): the kernel's encoding of "the CPU clock of process PID".
    return time.clock_gettime((~pid << 3) | 2)


class Governor:
    """Holds a process to `share` of one CPU from `start` to `stop`; without it the process runs freely."""

    def __init__(self, pid: int, share: float) -> None:
        if not share > 0:
            raise ValueError(f"share must be above 0, got {share:g}")
        self._pid = pid
        self._share = share
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._govern, name=f"cpu-of-{pid}", daemon=True)

    def start(self) -> None:
        if self._share < 1:
            self._thread.start()

    def stop(self) -> None:
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)

    def _govern(self) -> None:
        credit, stopped = self._share * PERIOD_SECONDS, False
        with suppress(OSError):
            used, at = cpu_seconds(self._pid), time.monotonic()
            while not self._done.wait(PERIOD_SECONDS):
                now_used, now = cpu_seconds(self._pid), time.monotonic()
                earned = (now - at) * self._share
                # Time in which it wanted no CPU is not saved up, beyond a period's worth.
                credit = min(credit + earned - (now_used - used), self._share * PERIOD_SECONDS)
                used, at = now_used, now
                if (credit < 0) != stopped:
                    stopped = credit < 0
                    os.kill(self._pid, signal.SIGSTOP if stopped else signal.SIGCONT)
