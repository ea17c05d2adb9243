"""How often a balancer reads: often while the index announces changes, rarely otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from proxy_image.control_plane.sources import ssm
from proxy_image.control_plane.sources.last_good import LastGood
from proxy_image.control_plane.sources.poll_intervals import Intervals
from proxy_image.control_plane.sources.sink import Trouble
from proxy_image.control_plane.sources.ssm import SsmSource
from tests.proxy_image.control_plane.fakes import PREFIX, FakeParameters, RememberingSink
from tests.proxy_image.control_plane.support import rng, target

NOW = 1_790_000_000.0
HOUR = 3600.0
DOCUMENT = rng(target(1))


class End(Exception):  # noqa: N818 - no error
    pass


class Reader:
    """The real source in virtual time: it goes on when the source sleeps. `at` holds what happens meanwhile."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOW
        self.parameters = FakeParameters()
        self.sink = RememberingSink()
        self.at: list[tuple[float, Callable[[], object]]] = []
        self._end = 0.0
        self._source = SsmSource(
            self.parameters,
            prefix=PREFIX,
            intervals=Intervals(expecting=0.5, idle=5),
            last_good=LastGood(folder, PREFIX),
            sink=self.sink,
        )
        monkeypatch.setattr(ssm, "time", SimpleNamespace(time=lambda: self.now))
        monkeypatch.setattr(ssm, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": self._sleep}))

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        due = [happen for moment, happen in self.at if moment <= self.now]
        self.at = [(moment, happen) for moment, happen in self.at if moment > self.now]
        for happen in due:
            happen()
        if self.now >= self._end:
            raise End

    async def reads_in(self, seconds: float) -> int:
        """The number of times that the index was read, all reads being of it."""
        self._end = self.now + seconds
        self.parameters.reads.clear()
        with pytest.raises(End):
            await self._source.follow(await self._source.read())
        assert set(self.parameters.reads) <= {"/index"}
        return len(self.parameters.reads)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    return Reader(tmp_path, monkeypatch)


async def test_an_idle_balancer_reads_once_in_five_seconds(reader: Reader) -> None:
    reader.parameters.publish(DOCUMENT)
    assert HOUR / 5 * 0.98 < await reader.reads_in(HOUR) < HOUR / 5 * 1.02


async def test_a_balancer_reads_often_while_changes_are_announced(reader: Reader) -> None:
    reader.parameters.publish(DOCUMENT, changes_expected_until=NOW + 300)
    assert 300 / 0.5 * 0.95 < await reader.reads_in(300) < 300 / 0.5 * 1.05


async def test_an_announcement_is_seen_within_an_idle_interval_and_so_is_its_end(reader: Reader) -> None:
    """GIVEN an idle balancer WHEN changes are announced for the second of three minutes, of the same generation"""
    reader.parameters.publish(DOCUMENT)
    reader.at = [
        (NOW + 60, lambda: reader.parameters.publish(DOCUMENT, changes_expected_until=NOW + 400)),
        (NOW + 120, lambda: reader.parameters.publish(DOCUMENT)),
    ]
    reads = [await reader.reads_in(60 + 5.5), await reader.reads_in(60 - 5.5 - 1), await reader.reads_in(59)]
    assert reads[0] <= 15 + 13
    assert reads[1] > 53.5 / 0.5 * 0.85
    assert reads[2] <= 15
    assert reader.sink.document == DOCUMENT


async def test_an_announcement_that_nobody_takes_back_ends_by_itself(reader: Reader) -> None:
    reader.parameters.publish(DOCUMENT, changes_expected_until=NOW + 60)
    await reader.reads_in(60)
    assert await reader.reads_in(HOUR) < HOUR / 5 * 1.02


async def test_an_announcement_of_a_wrong_clock_is_none(reader: Reader) -> None:
    reader.parameters.publish(DOCUMENT, changes_expected_until=NOW + 10 * HOUR)
    assert await reader.reads_in(HOUR) < HOUR / 5 * 1.02


async def test_a_first_document_is_waited_for_eagerly_but_not_for_ever(reader: Reader) -> None:
    assert await reader.reads_in(60) > 60 / 0.5 * 0.85
    assert await reader.reads_in(HOUR) < HOUR / 5 * 1.05 + 120


@pytest.mark.parametrize("trouble", [Trouble.UNREACHABLE, Trouble.DENIED, Trouble.THROTTLED])
async def test_a_reader_that_meets_trouble_neither_hammers_nor_sleeps(reader: Reader, trouble: Trouble) -> None:
    reader.parameters.fails = trouble
    assert 10 * 60 / 10 < await reader.reads_in(10 * 60) < 10 * 60 / 1.5
