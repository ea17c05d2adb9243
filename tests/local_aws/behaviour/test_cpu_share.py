"""A process gets the share of a CPU that its memory buys, as a function does on Lambda."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local_aws.behaviour.cpu_share import Governor, cpu_seconds
from local_aws.behaviour.timings import Functions
from tests.local_aws.waiting import until


@contextmanager
def busy_process() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def used(pid: int, seconds: float) -> float:
    before, start = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / (time.monotonic() - start)


def test_a_process_gets_its_share_and_no_more() -> None:
    # GIVEN a process that wants a whole CPU
    with busy_process() as pid:
        # WHEN it is held to a twentieth, and let go again
        governor = Governor(pid, 0.05)
        governor.start()
        held = used(pid, 2)
        governor.stop()
        # THEN it has that at most, and much more afterwards, also on a machine with much else to do
        assert held < 0.08
        until("it has more than while it was held", lambda: used(pid, 0.5) > 2 * held)


def test_a_process_that_is_let_go_runs_even_if_it_was_just_stopped() -> None:
    with busy_process() as pid:
        governor = Governor(pid, 0.01)
        governor.start()
        time.sleep(0.3)
        governor.stop()
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - a kernel file
            assert stat.read().rpartition(")")[2].split()[0] != "T"


def test_a_process_that_ends_ends_its_governor() -> None:
    with busy_process() as pid:
        governor = Governor(pid, 0.5)
        governor.start()
        os.kill(pid, signal.SIGKILL)
    governor.stop()


def test_memory_buys_cpu_up_to_one() -> None:
    functions = Functions()
    assert functions.cpu_share(512) == pytest.approx(0.289, abs=0.001)
    assert functions.cpu_share(1769) == functions.cpu_share(3008) == 1


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="share must be above 0, got 0"):
        Governor(os.getpid(), 0)
