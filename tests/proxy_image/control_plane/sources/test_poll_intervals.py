from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from proxy_image.control_plane.sources.poll_intervals import delay
from proxy_image.control_plane.sources.sink import Trouble

fractions = st.floats(0, 1)
counts = st.integers(1, 10_000)


@given(fractions)
def test_an_undisturbed_reader_reads_about_once_a_poll(random: float) -> None:
    assert 0.89 < delay(1, None, 0, random) < 1.11


@given(counts, fractions)
def test_no_trouble_makes_a_reader_wait_more_than_ten_seconds(in_a_row: int, random: float) -> None:
    assert all(0 < delay(1, trouble, in_a_row, random) <= 10 for trouble in Trouble)


@given(counts, fractions)
def test_a_reader_that_cannot_reach_ssm_notices_within_three_seconds_that_it_is_back(
    in_a_row: int, random: float
) -> None:
    assert delay(1, Trouble.UNREACHABLE, in_a_row, random) <= 3


@given(fractions)
def test_a_throttled_reader_waits_ever_longer(random: float) -> None:
    waits = [delay(1, Trouble.THROTTLED, in_a_row, random) for in_a_row in (1, 2, 3)]
    assert waits == sorted(set(waits))


@given(fractions)
def test_a_document_that_is_being_written_is_read_again_at_once_but_not_without_end(random: float) -> None:
    assert delay(1, Trouble.TORN, 1, random) < 0.2
    assert delay(1, Trouble.TORN, 6, random) > 0.5


@given(fractions)
def test_a_document_that_stays_torn_is_read_ever_less_often(random: float) -> None:
    waits = [delay(1, Trouble.TORN, count, random) for count in (5, 6, 7, 8)]
    assert waits == sorted(set(waits))
    assert delay(1, Trouble.TORN, 100, random) >= 5


def test_balancers_that_start_together_do_not_stay_in_step() -> None:
    chance = Random(3)  # noqa: S311 - the same test again
    moments = [sum(delay(5, None, 0, chance.random()) for _ in range(100)) for _ in range(20)]
    assert len({round(moment, 1) for moment in moments}) > 10
