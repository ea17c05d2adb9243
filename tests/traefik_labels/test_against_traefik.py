"""A sample of what `make traefik` asks: no label set is served wider than a real Traefik serves it, or elsewhere, or
narrower without a word.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.traefik_labels.judge.cases import SETS
from tests.traefik_labels.judge.court import GOOD, SETTINGS, Court, Verdict, court

EVERY = 4
"""Of the sets that may stand beside others, each so manieth of a kind."""


@pytest.fixture(scope="session")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    with court(tmp_path_factory.mktemp("judge"), SETTINGS) as found:
        yield found


@pytest.mark.timeout(600)
def test_no_set_is_served_wider_than_traefik_serves_it_or_elsewhere_or_narrower_without_a_word(judges: Court) -> None:
    # GIVEN sets of each kind, WHEN both get the same calls
    together = [one for sets in SETS.values() for one in [one for one in sets if not one.alone][::EVERY]]
    judged = judges.judge([*together, *(one for one in SETS["rules"] if one.alone)][: len(together) + 2])
    # THEN the same answers, or none here and a remark that says so
    assert [str(one) for one in judged if one.verdict not in GOOD] == []
    # AND that is not because nothing is served
    verdicts = [one.verdict for one in judged]
    assert verdicts.count(Verdict.SAME) > len(judged) / 2


@pytest.mark.timeout(300)
def test_the_judge_finds_a_set_that_is_served_wider(judges: Court) -> None:
    # GIVEN a set that says of its entry point what is not so: its callers came by another
    entry = next(one for one in SETS["routers"] if "'admin'" in one.about)
    told_wrong = Court(judges.cluster, judges.traefik, judges.ours, SETTINGS_THAT_LIE)
    told_wrong.begin_at(10_000)
    # THEN the judge says so
    (judged,) = told_wrong.judge([entry])
    assert judged.verdict is Verdict.WIDER


SETTINGS_THAT_LIE = type(SETTINGS)(version=3, entry_points=["admin"])


def test_there_are_as_many_sets_as_promised() -> None:
    assert sum(len(sets) for sets in SETS.values()) >= 300
