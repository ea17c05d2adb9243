"""Shares of the descriptors."""

from __future__ import annotations

import pytest

from proxy_image.control_plane.limits.descriptors import MAX_WEB, MAX_XDS, OWN, Shares, shares


@pytest.mark.parametrize("descriptors", [300, 512, 1_024, 4_096, 65_536, 2**20])
def test_something_is_left_for_envoy_and_the_sources_whatever_the_clients_take(descriptors: int) -> None:
    share = shares(descriptors)
    assert share.web + share.xds + OWN <= descriptors
    assert min(share.web, share.xds) >= 8


def test_a_usual_task_grants_all() -> None:
    assert shares(65_536) == Shares(MAX_WEB, MAX_XDS)


def test_the_default_of_linux_grants_each_a_part() -> None:
    assert shares(1_024) == Shares(200, 696)
