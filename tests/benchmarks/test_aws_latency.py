"""The benchmark of refreshes measures what it says: the real handler, whole, against an AWS that takes its time."""

from __future__ import annotations

from dataclasses import replace

from aws_latency import measure

from local_aws.behaviour.profile import DOCUMENTED, Latency


def test_a_refresh_from_nothing_and_warm_ones_publish_every_task() -> None:
    figures = measure(20, megabytes=1769, warm_times=2)
    assert figures.whole is not None
    assert figures.first is not None
    assert figures.first <= figures.whole
    assert figures.first_targets <= 20
    assert [one.error for one in figures.invocations] == [None]
    assert len(figures.warm) > 0
    assert all(one.error is None and one.init_seconds == 0 for one in figures.warm)


def test_a_slower_aws_takes_longer() -> None:
    fast, slow = (
        measure(5, megabytes=1769, warm_times=0, profile=replace(DOCUMENTED, latency=Latency(median=median, sigma=0)))
        for median in (0.001, 0.2)
    )
    assert fast.whole is not None
    assert slow.whole is not None
    assert slow.whole > fast.whole + 0.2
