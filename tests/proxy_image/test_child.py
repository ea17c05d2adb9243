"""The delays between the starts of a child that fails."""

from hypothesis import given
from hypothesis import strategies as st

from proxy_image.child import LONGEST_DELAY_SECONDS, describe_exit, restart_delay


@given(st.integers(1, 10_000))
def test_delays_grow_and_stay_below_the_longest(failures: int) -> None:
    assert 0.1 <= restart_delay(failures) <= restart_delay(failures + 1) <= LONGEST_DELAY_SECONDS


def test_the_first_restart_is_quick_and_the_eighth_is_not() -> None:
    assert restart_delay(1) == 0.1
    assert restart_delay(8) == LONGEST_DELAY_SECONDS


def test_an_exit_is_told_as_people_know_it() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "signal SIGKILL"
    assert describe_exit(-63) == "signal 63"
