"""How much CPU one piece of work takes, as a multiple of another in the same run: no machine is too slow for that."""

from __future__ import annotations

import time
from collections.abc import Callable

# Work that grows in proportion takes 4 times as long for 4 times the input, quadratic work 16 times: 8 is between.
INPUT_RATIO = 4
PROPORTIONAL = 8
# What else runs on the machine only ever adds to a time, so the least of several rounds is the work's own.
MAX_ROUNDS = 12


def assert_takes_at_most(factor: float, work: Callable[[], object], *, times: Callable[[], object]) -> None:
    """WORK takes at most FACTOR times the CPU that TIMES takes: by the least of up to 12 rounds, in turn."""
    least, least_other = float("inf"), float("inf")
    for _ in range(MAX_ROUNDS):
        least_other = min(least_other, _cpu_seconds(times))
        least = min(least, _cpu_seconds(work))
        if least <= factor * least_other:
            return
    raise AssertionError(f"the work must take at most {factor:g} times as long, got {least / least_other:.1f} times")


def assert_grows_in_proportion(work: Callable[[int], object], size: int) -> None:
    """WORK of SIZE takes about 4 times as long as WORK of a quarter of it, not 16 times."""
    assert_takes_at_most(PROPORTIONAL, lambda: work(size), times=lambda: work(size // INPUT_RATIO))


def _cpu_seconds(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started
