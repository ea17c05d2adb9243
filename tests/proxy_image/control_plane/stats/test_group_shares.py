"""What each group of a service is to have of its calls, and has."""

from __future__ import annotations

import pytest

from proxy_image.control_plane.stats.group_shares import GroupReport, group_reports
from proxy_image.control_plane.stats.window import ServiceWindow, TargetWindow
from tests.proxy_image.control_plane.policies import weighed
from tests.proxy_image.control_plane.support import rng, target

CALLS = {"127.0.0.1:1": TargetWindow(60), "127.0.0.1:2": TargetWindow(30, 1), "127.0.0.1:3": TargetWindow(10, 4)}
WINDOW = ServiceWindow(10.0, 100, 5, CALLS)


def test_a_canarys_share_is_shown_wanted_and_had_with_its_failures() -> None:
    (service,) = weighed(
        {"blue": 95, "canary": 5}, target(1, group="blue"), target(2, group="blue"), target(3, group="canary")
    ).services
    blue, canary = group_reports(service, {"127.0.0.1:1", "127.0.0.1:3"}, WINDOW)
    assert blue == GroupReport("blue", 95, 2, 1, 0.95, 0.9, 9.0, 1)
    assert canary == GroupReport("canary", 5, 1, 1, 0.05, 0.1, 1.0, 4)


def test_without_weights_a_group_is_to_have_what_its_serving_targets_make() -> None:
    (service,) = rng(target(1, group="a"), target(2, group="a"), target(3, group="b")).services
    a, b = group_reports(service, {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}, WINDOW)
    assert [a.wanted_share, b.wanted_share] == pytest.approx([2 / 3, 1 / 3])
    a, b = group_reports(service, {"127.0.0.1:3"}, WINDOW)
    assert (a.wanted_share, b.wanted_share) == (0.0, 1.0)


def test_where_nothing_serves_and_nobody_calls_no_share_is_told() -> None:
    (service,) = rng(target(1)).services
    (group,) = group_reports(service, (), ServiceWindow(0.0, 0, 0, {}))
    assert (group.wanted_share, group.share, group.calls_per_second) == (None, None, 0.0)
