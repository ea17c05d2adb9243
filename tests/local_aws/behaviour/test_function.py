"""A handler runs as Lambda runs it: environments are kept, taken away, killed at the timeout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_aws.behaviour.function import Function

HANDLER = """
import os, time

STATE = []

def handle(event, context):
    STATE.append(event)
    if event == "sleep":
        time.sleep(600)
    if event == "fail":
        raise ValueError("no")
    left = context.get_remaining_time_in_millis()
    with open("seen", "a") as seen:
        print(len(STATE), os.getpid(), 0 < left <= 60_000, file=seen)
"""


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Function]:
    (tmp_path / "sample.py").write_text(HANDLER)
    paths = os.pathsep.join((str(tmp_path), str(Path(__file__).parents[3])))
    monkeypatch.chdir(tmp_path)
    made = Function("sample.handle", {"PYTHONPATH": paths}, megabytes=1769, timeout_seconds=60, log=tmp_path / "log")
    yield made
    made.stop()


def seen(tmp_path: Path) -> list[list[str]]:
    return [line.split() for line in (tmp_path / "seen").read_text().splitlines()]


def test_an_environment_is_made_once_and_keeps_its_state(function: Function, tmp_path: Path) -> None:
    first, second = function.invoke("a"), function.invoke("b")
    assert first.error is second.error is None
    assert first.init_seconds > 0 == second.init_seconds
    (one, pid, in_time), (two, same_pid, still) = seen(tmp_path)
    assert (one, two) == ("1", "2")
    assert pid == same_pid
    assert in_time == still == "True"


def test_a_handler_that_raises_is_an_error_and_its_environment_stays(function: Function, tmp_path: Path) -> None:
    assert function.invoke("fail").error == "ValueError: no"
    again = function.invoke("a")
    assert again.error is None
    assert again.init_seconds == 0
    assert seen(tmp_path)[0][0] == "2"


def test_a_handler_that_takes_too_long_is_killed_and_the_next_one_knows_nothing_of_it(
    function: Function, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(function, "_timeout", 1)
        killed = function.invoke("sleep")
    assert killed.killed
    assert killed.error == "timed out"
    again = function.invoke("a")
    assert again.init_seconds > 0
    assert seen(tmp_path)[0][0] == "1"


def test_a_handler_that_cannot_be_imported_says_where_its_output_is(tmp_path: Path) -> None:
    function = Function("absent.handle", {}, megabytes=512, timeout_seconds=1, log=tmp_path / "log")
    with pytest.raises(RuntimeError, match=r"absent\.handle must be imported .*log"):
        function.invoke("a")
