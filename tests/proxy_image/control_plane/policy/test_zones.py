"""Calls that stay in the balancer's availability zone, where the service's owner prefers that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from grpc_lb_contract import Balancing, Group, TrafficPolicy
from proxy_image.control_plane.xds.endpoints import endpoints
from tests.proxy_image.control_plane.policies import treated, weighed
from tests.proxy_image.control_plane.support import backends, balancer, eventually, target, who

PREFERRED = TrafficPolicy(balancing=Balancing(prefer_zone=True))


async def test_calls_stay_in_the_zone_and_leave_it_when_it_is_lost(tmp_path: Path) -> None:
    async with backends("a", "b", "c", "d") as (a, b, c, d):
        home, away = (
            [target(each.port, zone="z1") for each in (a, b)],
            [target(each.port, zone="z2") for each in (c, d)],
        )
        document = treated(PREFERRED, *home, *away)
        async with (
            balancer(tmp_path, document, own_zone="z1") as (plane, envoy),
            envoy.channel() as channel,
        ):
            assert await who(channel, 40) == {"a": 20, "b": 20}
            # WHEN the zone is lost THEN no call fails
            await a.server.stop(0)
            await b.server.stop(0)
            assert await who(channel, 40) == {"c": 20, "d": 20}
            await a.start(a.port)
            await b.start(b.port)

            async def are_back() -> bool:
                return await who(channel, 20) == {"a": 10, "b": 10}

            await eventually(are_back, "calls in the zone")

            # AND a zone whose tasks are all told to stop sends its calls elsewhere
            leaving = [target(each.port, zone="z1", draining=True) for each in (a, b)]
            await plane.serve(treated(PREFERRED, *leaving, *away))

            async def have_left() -> bool:
                return await who(channel, 20) == {"c": 10, "d": 10}

            await eventually(have_left)


async def test_without_the_preference_zones_do_not_matter(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        document = treated(TrafficPolicy(), target(a.port, zone="z1"), target(b.port, zone="z2"))
        async with balancer(tmp_path, document, own_zone="z1") as (_, envoy), envoy.channel() as channel:
            assert await who(channel, 20) == {"a": 10, "b": 10}


@pytest.mark.parametrize(
    ("zones", "own_zone", "preferred"),
    [
        ("aabb", "a", True),
        ("abb", "a", False),  # 1 of 3 targets would bear half of the calls
        ("aabbb", "a", True),  # 2 of 5: 0.8 of an equal share
        ("aaabbbcc", "c", True),
        ("bb", "a", False),
        ("aa", "", False),
    ],
)
def test_a_zone_is_preferred_while_it_has_its_share_of_the_targets(
    zones: Sequence[str], own_zone: str, preferred: bool
) -> None:
    targets = [target(port, zone=zone) for port, zone in enumerate(zones, 1)]
    [service] = treated(PREFERRED, *targets).services
    priorities = {one.locality.zone: one.priority for one in endpoints(service, own_zone).endpoints}
    assert priorities == {zone: int(preferred and zone != own_zone) for zone in zones}


def test_weights_of_groups_come_before_zones() -> None:
    targets = target(1, zone="a", group="blue"), target(2, zone="b", group="green")
    [service] = weighed({"blue": 95, "green": 5}, *targets, policy=PREFERRED).services
    assert [one.priority for one in endpoints(service, "a").endpoints] == [0, 0]
    assert service.groups == (Group("blue", 95), Group("green", 5))
