"""Nothing outlives its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from local_aws.errors import LocalAwsError
from local_aws.layout import Layout
from local_aws.process import lock, processes
from tests.local_aws.waiting import until
from tests.waiting import PATIENCE_SECONDS

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_a_child_dies_with_the_process_that_started_it() -> None:
    # GIVEN a process that starts one of these and tells its id
    program = (
        "import subprocess, sys, time; from local_aws.process.processes import dies_with_us;"
        f"print(subprocess.Popen(dies_with_us({SLEEP!r}), start_new_session=True).pid, flush=True); time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Layout().root)
    assert starter.stdout is not None
    child = int(starter.stdout.readline())
    until("it runs the command", lambda: b"time.sleep(600)" in Path(f"/proc/{child}/cmdline").read_bytes())
    # WHEN the starter is killed THEN the child is gone too
    starter.kill()
    starter.wait()
    starter.stdout.close()
    until("the child is gone", lambda: processes.is_zombie(child))


def test_a_command_that_is_not_there_is_told(capfd: object) -> None:
    done = subprocess.run(processes.dies_with_us(["no-such-program"]), capture_output=True, text=True)
    assert done.returncode == 127
    assert done.stderr == "error: no-such-program must be a program that can be run, got No such file or directory\n"


def test_whatever_carries_the_mark_is_found_and_killed_in_whatever_session_it_is() -> None:
    mark = uuid.uuid4().hex
    marked = subprocess.Popen(SLEEP, env=os.environ | {"TEST_MARK": mark}, start_new_session=True)
    other = subprocess.Popen(SLEEP, env=os.environ | {"TEST_MARK": mark + "0"})
    try:
        until("it is found", lambda: list(processes.marked("TEST_MARK", mark)) == [marked.pid])
        assert processes.kill_marked("TEST_MARK", mark) == 1
        assert marked.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_the_start_time_tells_a_process_from_a_later_one_of_the_same_id() -> None:
    child = subprocess.Popen(SLEEP)
    started = processes.start_time(child.pid)
    assert started is not None
    assert started >= (processes.start_time(os.getpid()) or 0)
    assert processes.descendants(os.getpid()).count(child.pid) == 1
    child.kill()
    until("it is a zombie", lambda: processes.is_zombie(child.pid))
    child.wait()
    assert processes.start_time(child.pid) is None


def test_a_lock_is_held_once_and_names_its_holder(tmp_path: Path) -> None:
    held = lock.take(tmp_path / "lock")
    assert lock.owner(tmp_path / "lock") == os.getpid()
    assert not lock.is_free(tmp_path / "lock")
    with pytest.raises(LocalAwsError, match=rf"^it is up already \(process {os.getpid()}\); stop it: make down$"):
        lock.take(tmp_path / "lock")
    held.close()
    assert lock.is_free(tmp_path / "lock")
    lock.take(tmp_path / "lock").close()
