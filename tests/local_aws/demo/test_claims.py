"""A claim must be able to fail: what was not so is never shown as held."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from local_aws.demo import claims
from rng_service.report import Call, LoadReport

TASKS = ("a", "b")
CALLS = 400


def load(answered: Mapping[str, int], *failures: Call, seconds: float = 0.0, started: float = 1000.0) -> LoadReport:
    calls = [Call(started, 0.001, task) for task, count in answered.items() for _ in range(count)]
    return LoadReport("127.0.0.1:1", 1, started, started + seconds, (*calls, *failures))


def failed(started: float = 1000.0, seconds: float = 0.001, code: str = "UNAVAILABLE") -> Call:
    return Call(started, seconds, None, code, "connection reset")


@pytest.mark.parametrize(
    ("report", "held", "seen"),
    [
        (load({"a": 100}), True, "100 / 0"),
        (load({"a": 99, "b": 1}), False, "99 / 1"),
        (load({"a": 99}, failed()), False, "99 / 0, 1 FAILED (first: UNAVAILABLE connection reset)"),
    ],
)
def test_all_on_one_holds_when_one_task_answered_every_call(report: LoadReport, held: bool, seen: str) -> None:
    claim = claims.all_on_one("text", report, TASKS)

    assert (claim.held, claim.seen) == (held, seen)


def test_all_on_one_says_nothing_where_there_is_one_task_only() -> None:
    assert not claims.all_on_one("text", load({"a": 100}), ["a"]).held


@pytest.mark.parametrize(
    ("report", "within", "held"),
    [
        (load({"a": 50, "b": 50}), 1, True),
        (load({"a": 51, "b": 49}), 1, True),
        (load({"a": 52, "b": 48}), 1, False),
        (load({"a": 52, "b": 48}), 2, True),
        (load({"a": 100}), 1, False),
        (load({"a": 50, "b": 49}, failed()), 1, False),
        (load({"a": 49, "b": 50, "stranger": 1}), 1, False),
    ],
)
def test_evenly_holds_when_each_task_has_its_part(report: LoadReport, within: int, held: bool) -> None:
    assert claims.spread_evenly("text", report, TASKS, within=within).held is held


@pytest.mark.parametrize(
    ("report", "held"),
    [
        (load({"a": 400}, seconds=2), True),
        (load({"a": 399}, seconds=2), False),
        (load({"a": 400}, failed(), seconds=2), False),
        (load({}), False),
    ],
)
def test_no_call_failed_holds_under_a_load_that_was_there(report: LoadReport, held: bool) -> None:
    assert claims.no_call_failed("text", report, min_calls=CALLS).held is held


@pytest.mark.parametrize(
    ("failures", "held", "inside"),
    [
        ([failed(started=999.99, seconds=0.02)], True, 1),
        ([failed(started=1000.01, seconds=0.01)], True, 1),
        ([failed(started=1000.03, seconds=0.01)], False, 0),
        ([failed(started=999.0, seconds=0.5)], False, 0),
        ([failed(started=999.99, seconds=0.02, code="CANCELLED")], False, 0),
        ([failed(started=1000.01, seconds=0.09), failed(started=1000.05, seconds=0.05)], True, 2),
        ([failed(started=1000.01, seconds=0.03), failed(started=1000.05, seconds=0.05)], False, 1),
    ],
    ids=[
        "in flight",
        "sent while it died",
        "sent after it was gone",
        "over before the kill",
        "for another reason",
        "sent before those inside ended",
        "sent after those inside ended",
    ],
)
def test_a_killed_task_may_take_along_the_calls_inside_it_alone(failures: list[Call], held: bool, inside: int) -> None:
    report = load({"a": 400}, *failures, seconds=2)

    claim = claims.only_calls_inside_failed("text", report, killed_at=1000.0, gone_at=1000.02, min_calls=CALLS)

    assert claim.held is held
    assert claim.figures["failed_inside_the_task"] == inside


@pytest.mark.parametrize(
    ("seconds", "direct", "held", "seen"),
    [
        ([0.5, 2.9], 1.0, True, "0.50 s, 2.90 s (allowed: 3 s)"),
        ([0.5, 3.0], 1.0, False, "0.50 s, 3.00 s (allowed: 3 s)"),
        ([0.5, 3.7], 1.5, True, "0.50 s, 3.70 s (allowed: 3 × 1.50 s, as a call straight to a new task took)"),
        ([0.5, 4.5], 1.5, False, "0.50 s, 4.50 s (allowed: 3 × 1.50 s, as a call straight to a new task took)"),
        ([None], 1.0, False, "never (allowed: 3 s)"),
        ([], 1.0, False, "none (allowed: 3 s)"),
    ],
)
def test_in_time_holds_when_every_time_is_below_the_limit_of_this_machine(
    seconds: list[float | None], direct: float, held: bool, seen: str
) -> None:
    claim = claims.in_time("text", seconds, limit=3, direct=direct, times=3)

    assert (claim.held, claim.seen) == (held, seen)
