"""The benchmark of refreshes measures what it says: the real handler, whole, against an AWS that takes its time."""

from __future__ import annotations

from dataclasses import replace

from aws_latency import measure, rows_of_bounds, seconds_by_quotas

from local_aws.behaviour.timings import DOCUMENTED, Latency


def test_a_refresh_from_nothing_and_warm_ones_publish_every_task() -> None:
    figures = measure(20, megabytes=1769, warm_times=2, pause_seconds=0)
    assert figures.whole is not None
    assert figures.first is not None
    assert figures.first <= figures.whole
    assert figures.first_targets <= 20
    assert [one.error for one in figures.invocations] == [None]
    assert len(figures.warm) > 0
    assert all(one.error is None and one.init_seconds == 0 for one in figures.warm)
    # AND a second cold start is one
    assert figures.second is not None
    assert figures.second.error is None
    assert figures.second.init_seconds > 0


def test_a_new_process_for_which_definitions_are_saved_reads_none() -> None:
    # GIVEN what the first refresh of all leaves, made in virtual time
    figures = measure(120, warm_times=1, pause_seconds=0, saved=True)
    # THEN new processes and a warm one refresh for one stop each, and the rows of bounds say how long that takes
    assert figures.whole is None
    assert figures.second is not None
    assert [one.error for one in (figures.second, *figures.warm)] == [None, None]
    rows = rows_of_bounds([replace(figures, tasks=1000)])
    assert [(row[0], row[4]) for row in rows] == [("new process, definitions saved", "15")]


def test_the_quotas_alone_are_those_of_the_slowest_bucket() -> None:
    assert seconds_by_quotas(tasks=20, services=20, writes=3) == 0
    assert seconds_by_quotas(tasks=1000, services=1000, writes=60) == 47.5
    assert seconds_by_quotas(tasks=5000, services=1000, writes=183) == 60


def test_each_call_takes_its_time() -> None:
    # GIVEN an AWS of 200 ms a call, WHEN tasks are listed and described and a definition is read, one after the other
    slow = replace(DOCUMENTED, latency=Latency(median=0.2, sigma=0))
    figures = measure(1, megabytes=1769, warm_times=0, pause_seconds=0, profile=slow)
    # THEN what is published comes after three calls at the earliest, however fast the machine
    assert figures.whole is not None
    assert figures.whole > 2.5 * 0.2
