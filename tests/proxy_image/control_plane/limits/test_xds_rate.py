"""How fast a stream may ask."""

from __future__ import annotations

import asyncio

from proxy_image.control_plane.limits.xds_rate import MAX_TURNS, RequestRate, Turns
from tests.waiting import PATIENCE_SECONDS


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_free_and_then_requests_come_at_a_rate() -> None:
    clock = Clock()
    pace = RequestRate(burst=10, per_second=2, clock=clock)
    for _ in range(10):
        assert pace.seconds_to_wait == 0
        pace.asked(names=0)
    pace.asked(names=0)
    assert pace.seconds_to_wait == 0.5
    clock.now = 0.5
    assert pace.seconds_to_wait == 0


def test_many_names_and_large_answers_cost_more() -> None:
    pace = RequestRate(burst=10, per_second=1, clock=Clock())
    pace.asked(names=900)
    assert pace.seconds_to_wait == 0
    pace.answered(size=4_096)
    assert pace.seconds_to_wait == 1


def test_a_pause_gives_no_more_than_the_burst() -> None:
    clock = Clock()
    pace = RequestRate(burst=2, per_second=1, clock=clock)
    clock.now = 1_000
    for _ in range(3):
        pace.asked(names=0)
    assert pace.seconds_to_wait == 1


class Working(Clock):
    """Each look at it takes so long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self) -> float:
        self.now += self._seconds
        return self.now


async def rounds_of(turns: Turns) -> int:
    """How often others have the event loop while 100 turns are taken, in the order of asking."""
    rounds, done = 0, list[int]()

    async def work(number: int) -> None:
        async with turns:
            done.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(100)]
    while len(done) < 100:
        rounds += 1
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert done == sorted(done)
    return rounds


async def test_between_two_turns_whoever_waits_for_the_thread_has_it() -> None:
    assert await rounds_of(Turns(Working(0.1))) >= 100


async def test_turns_that_take_no_time_share_a_round() -> None:
    assert 100 / MAX_TURNS <= await rounds_of(Turns(Working(0))) < 20


async def test_who_waits_for_a_turn_no_more_holds_up_nobody() -> None:
    turns = Turns(Working(0.1))
    tasks = [asyncio.create_task(turns.__aenter__()) for _ in range(50)]
    await asyncio.sleep(0)
    for task in tasks[:-1]:
        task.cancel()
    await asyncio.wait_for(tasks[-1], PATIENCE_SECONDS)
