"""Log lines that clients cause."""

from __future__ import annotations

import logging

from proxy_image.control_plane.limits.log_rate import MAX_KINDS, LogRate
from tests.proxy_image.control_plane.limits.test_xds_rate import Clock


def record(event: str, **facts: object) -> logging.LogRecord:
    made = logging.LogRecord("test", logging.INFO, "", 0, event, None, None)
    made.facts = facts
    return made


def passed(rate: LogRate, count: int, event: str, **facts: object) -> int:
    return sum(bool(rate.filter(record(event, **facts))) for _ in range(count))


def test_the_first_lines_pass_and_the_next_one_says_how_many_did_not() -> None:
    clock = Clock()
    rate = LogRate(burst=3, per_second=1, clock=clock)
    assert passed(rate, 10, "xds stream opened") == 3
    clock.now = 1.0
    line = record("xds stream opened", node="a")
    assert rate.filter(line)
    assert line.facts == {"node": "a", "not_logged": 7}  # type: ignore[attr-defined]  # what `extra` adds


def test_other_events_and_envoys_own_pass_meanwhile() -> None:
    rate = LogRate(burst=1, per_second=1, clock=Clock())
    assert passed(rate, 5, "xds resource rejected", audience="grpc") == 1
    assert passed(rate, 1, "xds stream opened", audience="grpc") == 1
    assert passed(rate, 1, "xds resource rejected", audience="envoy") == 1


def test_kinds_that_someone_makes_up_are_bounded() -> None:
    rate = LogRate(burst=1, per_second=1, clock=Clock())
    made_up = [record(f"made up {number}") for number in range(10 * MAX_KINDS)]
    assert sum(bool(rate.filter(each)) for each in made_up) == MAX_KINDS + 1
