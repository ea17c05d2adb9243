"""How fast a stream may ask."""

from __future__ import annotations

import asyncio

from proxy_image.control_plane.limits.xds_rate import Pace, Turns


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_free_and_then_requests_come_at_a_rate() -> None:
    clock = Clock()
    pace = Pace(burst=10, per_second=2, clock=clock)
    for _ in range(10):
        assert pace.seconds_to_wait == 0
        pace.asked(names=0)
    pace.asked(names=0)
    assert pace.seconds_to_wait == 0.5
    clock.now = 0.5
    assert pace.seconds_to_wait == 0


def test_many_names_and_large_answers_cost_more() -> None:
    pace = Pace(burst=10, per_second=1, clock=Clock())
    pace.asked(names=900)
    assert pace.seconds_to_wait == 0
    pace.answered(size=4_096)
    assert pace.seconds_to_wait == 1


def test_a_pause_gives_no_more_than_the_burst() -> None:
    clock = Clock()
    pace = Pace(burst=2, per_second=1, clock=clock)
    clock.now = 1_000
    for _ in range(3):
        pace.asked(names=0)
    assert pace.seconds_to_wait == 1


async def test_between_two_turns_whoever_waits_for_the_thread_has_it() -> None:
    turns, rounds, done = Turns(), 0, 0

    async def work() -> None:
        nonlocal done
        async with turns.one():
            done += 1

    tasks = [asyncio.create_task(work()) for _ in range(100)]
    while done < 100:
        rounds += 1
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert rounds >= 100
