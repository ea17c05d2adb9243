"""What the supervisor's ear makes of a heartbeat."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy_image.supervisor import heartbeat
from proxy_image.supervisor.heartbeat import SILENT_TURNS, START_TURNS, Ear, beat


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    with contextlib.closing(Ear(tmp_path / "life.sock")) as opened:
        yield opened


async def one_beat(tmp_path: Path) -> None:
    beating = asyncio.create_task(beat(tmp_path / "life.sock"))
    await asyncio.sleep(0)
    beating.cancel()


async def test_a_process_that_falls_silent_is_noticed_after_some_turns(ear: Ear, tmp_path: Path) -> None:
    ear.listen(7)
    await one_beat(tmp_path)
    for _ in range(SILENT_TURNS):
        ear.listen(7)
        assert not ear.hears_nothing()
    ear.listen(7)
    assert ear.hears_nothing()
    # AND one beat is enough to be alive again
    await one_beat(tmp_path)
    ear.listen(7)
    assert not ear.hears_nothing()


def test_a_start_may_take_longer_and_not_for_ever(ear: Ear) -> None:
    assert START_TURNS > SILENT_TURNS
    for _ in range(START_TURNS):
        ear.listen(7)
        assert not ear.hears_nothing()
    ear.listen(7)
    assert ear.hears_nothing()


def test_the_next_process_begins_anew_and_where_there_is_none_nothing_is_missed(ear: Ear) -> None:
    for pid in (*(7,) * START_TURNS, *(None,) * 100, *(8,) * START_TURNS):
        ear.listen(pid)
        assert not ear.hears_nothing()


async def test_a_heart_beats_on_where_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a control plane without a supervisor, or with one that does not read, THEN it is not disturbed."""
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.0)
    for path in (tmp_path / "absent.sock", tmp_path / "life.sock"):
        with contextlib.closing(Ear(tmp_path / "life.sock")):
            beating = asyncio.create_task(beat(path))
            for _ in range(3000):
                await asyncio.sleep(0)
            assert not beating.done()
            beating.cancel()
