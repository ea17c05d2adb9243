"""The judge of work that is bounded can be failed."""

from __future__ import annotations

import pytest

from tests.growth import assert_grows_in_proportion, assert_takes_at_most


def proportional(size: int) -> int:
    return sum(number for number in range(size * 200))


def quadratic(size: int) -> int:
    return sum(one ^ other for one in range(size) for other in range(size))


def test_work_that_grows_in_proportion_passes_and_quadratic_work_does_not() -> None:
    assert_grows_in_proportion(proportional, 400)
    with pytest.raises(AssertionError, match=r"at most 8 times as long, got \d"):
        assert_grows_in_proportion(quadratic, 400)


def test_work_is_compared_with_other_work() -> None:
    assert_takes_at_most(20, lambda: proportional(400), times=lambda: proportional(40))
    with pytest.raises(AssertionError, match="at most 5 times"):
        assert_takes_at_most(5, lambda: proportional(400), times=lambda: proportional(40))
