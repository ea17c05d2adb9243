"""Scenes that are played at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from local_aws.cli import main
from local_aws.demo.claims import Claim
from local_aws.demo.play import play_at_once
from local_aws.demo.stage import SceneError


def claim(text: str) -> Claim:
    return Claim(text, "seen", held=True)


async def test_scenes_at_once_meet_and_the_claims_of_each_stay_together(capsys: pytest.CaptureFixture[str]) -> None:
    begun = asyncio.Barrier(2)

    async def scene(name: str) -> AsyncIterator[Claim]:
        yield claim(f"{name} 1")
        await begun.wait()  # one after the other they would wait for ever
        yield claim(f"{name} 2")

    claims: list[Claim] = []
    await asyncio.wait_for(play_at_once(claims, ("scale_in", scene("a")), ("stop_it", scene("b"))), 60)
    assert [each.text for each in claims] == ["a 1", "a 2", "b 1", "b 2"]
    told = capsys.readouterr().out
    assert "  scale in, stop it: " in told
    assert told.index("a 2") < told.index("b 1")


async def test_a_scene_that_breaks_off_ends_the_others_and_what_was_seen_is_shown() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[Claim]:
        yield claim("seen before")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def broken() -> AsyncIterator[Claim]:
        yield claim("seen too")
        raise SceneError("it must come, it did not")

    claims: list[Claim] = []
    with pytest.raises(SceneError, match="it must come"):
        await play_at_once(claims, ("endless", endless()), ("broken", broken()))
    assert [each.text for each in claims] == ["seen before", "seen too"]
    await asyncio.wait_for(ended.wait(), 60)


def test_the_demo_reads_its_own_options_and_those_before_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["demo", "--help"])
    assert "--attach" in capsys.readouterr().out
    assert main(["--name", "none-such", "demo", "--attach"]) == 1
    assert "got no none-such.json" in "".join(capsys.readouterr())
