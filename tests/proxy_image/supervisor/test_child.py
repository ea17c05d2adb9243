"""A child's restarts and its end."""

import asyncio
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_image.supervisor.child import MAX_DELAY_SECONDS, Child, describe_exit, restart_delay
from tests.proxy_image.balancer import is_alive, until
from tests.waiting import PATIENCE_SECONDS


@given(st.integers(1, 10_000))
def test_delays_grow_and_stay_below_the_longest(failures: int) -> None:
    assert 0.1 <= restart_delay(failures) <= restart_delay(failures + 1) <= MAX_DELAY_SECONDS


def test_the_first_restart_is_quick_and_the_eighth_is_not() -> None:
    assert restart_delay(1) == 0.1
    assert restart_delay(8) == MAX_DELAY_SECONDS


def test_an_exit_is_told_as_people_know_it() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "signal SIGKILL"
    assert describe_exit(-63) == "signal 63"


def reap(pid: int) -> int:
    return os.waitpid(pid, os.WNOHANG)[0]


async def test_a_child_that_has_just_died_is_stopped_without_waiting_for_it() -> None:
    # GIVEN a child that is dead, and not yet reaped
    child = Child("child", lambda: (sys.executable, "-c", "raise SystemExit(3)"), os.environ)
    running = asyncio.create_task(child.keep_running())
    pid = int(await until(lambda: child.pid, "start"))
    await until(lambda: not is_alive(pid), "death")
    # WHEN it is stopped, and its exit collected only then, as by a signal handler whose turn comes later
    stopping = asyncio.create_task(child.stop(patience=3600))
    await asyncio.sleep(0)
    assert reap(pid) == pid, "its exit was left for whoever reaps"
    child.on_exit(3)
    # THEN it is gone at once
    await asyncio.wait_for(asyncio.gather(stopping, running), PATIENCE_SECONDS)


async def test_a_child_that_was_well_is_restarted_as_after_its_first_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # GIVEN that however short a run is long enough
    monkeypatch.setattr("proxy_image.supervisor.child.WELL_SECONDS", 0.0)
    child = Child("child", lambda: (sys.executable, "-c", ""), os.environ)
    running = asyncio.create_task(child.keep_running())

    def delays() -> list[float]:
        told = [record for record in caplog.records if record.getMessage() == "child stopped"]
        return [vars(record)["facts"]["restart_in_seconds"] for record in told]

    # WHEN it fails again and again, THEN each restart is as quick as the first
    for count in (1, 2, 3):
        pid = int(await until(lambda: child.pid, "start"))
        await until(lambda pid=pid: reap(pid), "death")  # type: ignore[misc]
        child.on_exit(0)
        await until(lambda count=count: len(delays()) == count, "an end that is told")  # type: ignore[misc]
    assert delays() == [0.1] * 3
    child.leave()
    await asyncio.wait_for(running, PATIENCE_SECONDS)


async def test_a_child_whose_group_is_gone_when_patience_ends_is_no_error() -> None:
    child = Child("child", lambda: (sys.executable, "-c", ""), os.environ)
    running = asyncio.create_task(child.keep_running())
    pid = int(await until(lambda: child.pid, "start"))
    # GIVEN that somebody else reaped it
    await until(lambda: reap(pid), "death")
    stopping = asyncio.create_task(child.stop(patience=0.05))
    await asyncio.sleep(0.2)
    assert not stopping.done() or stopping.exception() is None
    child.on_exit(0)
    await asyncio.wait_for(asyncio.gather(stopping, running), PATIENCE_SECONDS)
