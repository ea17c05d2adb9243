"""Which tests run in the same process."""

from __future__ import annotations

from tests.sharing import groups_of


def test_tests_that_share_a_fixture_have_one_group_and_the_others_none() -> None:
    shared = {
        "one": frozenset({"stack"}),
        "two": frozenset({"stack", "wheel"}),
        "three": frozenset({"wheel", "installed"}),
        "alone": frozenset({"templates"}),
        "none": frozenset[str](),
    }
    groups = groups_of(shared)
    assert groups.keys() == {"one", "two", "three", "alone"}
    assert groups["one"] == groups["two"] == groups["three"] != groups["alone"]
