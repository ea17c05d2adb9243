from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rng_service.report import Call, LoadReport, render


def report(*calls: Call, channels: int = 1) -> LoadReport:
    return LoadReport("10.0.0.1:50051", channels, 1000.0, 1002.0, calls)


def test_given_calls_of_two_tasks_when_the_report_is_rendered_then_each_has_its_share_as_a_bar() -> None:
    calls = [Call(1000.0, 0.001, "task-a")] * 75 + [Call(1000.0, 0.002, "b")] * 25
    assert render(report(*calls)) == (
        "100 calls to 10.0.0.1:50051 on 1 connection in 2.00 s (50 a second)\n"
        "\n"
        "  task-a  75   75.0%  ██████████████████████████████\n"
        "  b       25   25.0%  ██████████\n"
        "\n"
        "  latency  p50 1.0 ms   p95 2.0 ms   p99 2.0 ms   max 2.0 ms\n"
        "  no call failed"
    )


def test_given_failed_calls_when_the_report_is_rendered_then_each_code_has_its_count_and_a_sample() -> None:
    calls = [
        Call(1000.0, 0.1, None, "UNAVAILABLE", "connection\nrefused"),
        Call(1000.0, 0.1, None, "UNAVAILABLE", "other"),
        Call(1000.0, 0.1, "task-a", "DEADLINE_EXCEEDED", "too late"),
    ]
    assert render(report(*calls, channels=4)) == (
        "3 calls to 10.0.0.1:50051 on 4 connections in 2.00 s (2 a second)\n"
        "\n"
        "  3 calls failed\n"
        "    DEADLINE_EXCEEDED  1  too late\n"
        "    UNAVAILABLE  2  connection refused"
    )


def test_given_a_call_without_a_task_when_it_is_counted_then_the_task_is_unknown_and_failures_count_for_none() -> None:
    assert report(Call(1.0, 0.1, None), Call(1.0, 0.1, "a", "INTERNAL")).tasks == {"(unknown)": 1}


def test_given_calls_of_a_task_when_its_first_answer_is_asked_for_then_it_is_the_earliest_that_did_not_fail() -> None:
    seen = report(
        Call(1000.0, 0.1, "a", "UNAVAILABLE"),
        Call(1001.0, 0.9, "a"),
        Call(1001.5, 0.1, "a"),
        Call(1000.0, 0.1, "b"),
    )
    assert seen.first_answer("a") == pytest.approx(1001.6)
    assert seen.first_answer("c") is None


def test_given_a_report_when_a_part_of_its_time_is_asked_for_then_it_has_the_calls_made_then() -> None:
    calls = [Call(1000.0 + n / 10, 0.5, "a") for n in range(20)]
    part = report(*calls).between(1000.45, 1001.0)
    assert [call.started for call in part.calls] == [1000.5, 1000.6, 1000.7, 1000.8, 1000.9]
    assert (part.started, part.finished) == (1000.45, 1001.0)
    assert report(*calls).between(1001.0).finished == 1002.0


@given(st.lists(st.floats(0, 100), min_size=1), st.sampled_from([1, 50, 95, 99, 100]))
def test_given_latencies_then_a_percentile_is_the_least_that_so_many_calls_do_not_exceed(
    seconds: list[float], percent: int
) -> None:
    latency = report(*(Call(0.0, each, "a") for each in seconds)).latency(percent)
    assert latency in seconds
    assert sum(each <= latency for each in seconds) >= len(seconds) * percent / 100
    assert sum(each < latency for each in seconds) < len(seconds) * percent / 100


def test_given_no_call_then_there_is_a_report_all_the_same() -> None:
    assert math.isnan(report().latency(50))
    assert report().to_json()["latency_ms"] == {"p50": None, "p95": None, "p99": None, "max": None}
    assert render(report()).startswith("0 calls to")


def test_given_a_report_when_it_is_made_json_then_it_has_what_a_machine_needs() -> None:
    seen = report(Call(1000.0, 0.0015, "a"), Call(1000.5, 0.1, None, "UNAVAILABLE", "refused"))
    assert seen.to_json() == {
        "address": "10.0.0.1:50051",
        "channels": 1,
        "started": 1000.0,
        "seconds": 2.0,
        "calls": 2,
        "failed": 1,
        "tasks": {"a": 1},
        "first_answers": {"a": 1000.0015},
        "latency_ms": {"p50": 1.5, "p95": 1.5, "p99": 1.5, "max": 1.5},
        "failures": {"UNAVAILABLE": {"count": 1, "sample": "refused", "task": None}},
    }
