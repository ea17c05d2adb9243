"""An eventually consistent read shows a record as it was."""

from __future__ import annotations

from local_aws.behaviour.history import History


def test_a_record_is_seen_as_it_was_at_any_moment() -> None:
    history = History()
    task = {"status": "PENDING"}
    history.put("t", task, 10)
    task["status"] = "RUNNING"
    history.put("t", task, 20)
    assert history.at("t", 9) is None
    assert history.at("t", 15) == {"status": "PENDING"}
    assert history.at("t", 20) == {"status": "RUNNING"}
    assert history.at("other", 20) is None


def test_states_that_nobody_can_see_any_more_are_forgotten_but_the_last_one_stays() -> None:
    history = History()
    for now in range(0, 1000, 10):
        history.put("t", {"at": now}, now)
    assert history.at("t", 100) is None
    assert history.at("t", 10**9) == {"at": 990}
