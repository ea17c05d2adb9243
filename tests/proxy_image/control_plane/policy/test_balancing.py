"""Which target gets a call, where the service's owner has chosen how."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from math import sqrt
from pathlib import Path
from typing import Any

import grpc
import pytest

from grpc_lb_contract import Balancing, Method, OutlierDetection, TrafficPolicy
from tests.proxy_image.control_plane.calls import reads, start
from tests.proxy_image.control_plane.policies import treated
from tests.proxy_image.control_plane.support import STAY, WHO, Backend, backends, balancer, eventually, who

SIGMAS = 5
"""One run in 1.7 million is further off by chance (two-sided, normal approximation of the binomial)."""


def balanced(method: Method, **more: Any) -> TrafficPolicy:
    return TrafficPolicy(balancing=Balancing(method=method, **more))


async def who_by_key(channel: grpc.aio.Channel, keys: int) -> dict[int, str]:
    call: Any = channel.unary_unary(WHO)
    calls = (call(b"", metadata=(("session", str(key)),), timeout=60) for key in range(keys))
    return {key: answer.decode() for key, answer in enumerate(await asyncio.gather(*calls))}


async def occupy(channel: grpc.aio.Channel, busy: Backend, idle: Backend, calls: int) -> None:
    """Leave that many calls in flight at one target, and none at the other."""
    idle.release.set()
    method: Any = channel.unary_unary(STAY)
    holding = []
    while busy.seen["stay"] < calls:
        holding.append(start(method))
        await eventually(lambda: busy.seen["stay"] + idle.seen["stay"] == len(holding))


async def test_random_is_a_fair_lottery(tmp_path: Path) -> None:
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, treated(balanced(Method.RANDOM), a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        shares = [(await who(channel, 100))["a"] for _ in range(4)]
        assert sum(shares) == pytest.approx(200, abs=SIGMAS * sqrt(400 / 4))
        assert shares != [50, 50, 50, 50], "that were round robin"


async def test_least_request_keeps_away_from_the_busy_target(tmp_path: Path) -> None:
    """Envoy draws two of the targets, each time again: of two, it draws one twice in half of the cases."""
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, treated(balanced(Method.LEAST_REQUEST), a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        await occupy(channel, a, b, 1)
        answers = await who(channel, 400)
        assert answers["b"] == pytest.approx(300, abs=SIGMAS * sqrt(400 * 3 / 16))


@pytest.mark.parametrize(("bias", "busy_share"), [(0.0, 1 / 2), (1.0, 1 / 10)])
async def test_the_bias_says_how_much_calls_under_way_count(tmp_path: Path, bias: float, busy_share: float) -> None:
    """GIVEN slow starts (they weigh the targets) and 8 calls in flight at one THEN it weighs 1 / 9 ** bias."""
    policy = balanced(Method.LEAST_REQUEST, active_request_bias=bias, slow_start=timedelta(hours=1))
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, treated(policy, a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        await occupy(channel, a, b, 8)
        assert (await who(channel, 200))["a"] == pytest.approx(200 * busy_share, abs=8)


SAME_AGAIN = 200
"""Keys: were their targets drawn again, all would be the same once in 2 ** 200 runs."""

# Envoy's ring has a fixed size: where the third target joins two, these lose a third of their places each, and half of
# the keys on those go from the one to the other. A larger ring, or another hash function, changes nothing of that.
MOVED = {Method.MAGLEV: 1 / 3, Method.RING_HASH: 1 / 3 + 2 / 3 * 1 / 3 * 1 / 2}


@pytest.mark.parametrize("method", MOVED)
async def test_calls_with_the_same_key_go_to_the_same_target_and_few_move_when_another_joins(
    tmp_path: Path, method: Method
) -> None:
    """GIVEN 1000 keys on two targets WHEN a third joins THEN maglev moves its fair share of them, and ring-hash 4 in 9.

    Beside the chance of the keys, Envoy's ring and table are not quite even: 2 parts in 100.
    """
    policy = balanced(method, metadata_key="session")
    async with (
        backends("a", "b", "c") as (a, b, c),
        balancer(tmp_path, treated(policy, a.target, b.target)) as (plane, envoy),
        envoy.channel() as channel,
    ):
        keys, share = 1000, MOVED[method]
        before = await who_by_key(channel, keys)
        assert (await who_by_key(channel, SAME_AGAIN)).items() <= before.items()
        assert Counter(before.values())["a"] == pytest.approx(keys / 2, abs=SIGMAS * sqrt(keys / 4) + keys / 10)

        await plane.serve(treated(policy, a.target, b.target, c.target))
        await envoy.has(a.port, b.port, c.port)
        after = await who_by_key(channel, keys)
        moved = {key for key in before if before[key] != after[key]}
        assert len(moved) == pytest.approx(keys * share, abs=SIGMAS * sqrt(keys * share * (1 - share)) + keys / 50)
        if method is Method.MAGLEV:
            # Nearly none goes between those that were there.
            assert sum(after[key] != "c" for key in moved) <= keys * 5 / 100


@pytest.mark.parametrize("method", MOVED)
async def test_a_call_whose_target_cannot_be_reached_is_sent_to_another_whatever_its_key(
    tmp_path: Path, method: Method
) -> None:
    """GIVEN a target that is lost, and that Envoy must not eject, so that its keys still lead to it."""
    stays = OutlierDetection(max_ejection_percent=0)
    policy = replace(balanced(method, metadata_key="session"), outlier_detection=stays)
    # Envoy picks another one by chance, up to five times: of so many, it is the lost one each time in 1 of 10^6 calls.
    async with (
        backends(*(f"b{number}" for number in range(15))) as servers,
        balancer(tmp_path, treated(policy, *(each.target for each in servers))) as (_, envoy),
        envoy.channel() as channel,
    ):
        before = await who_by_key(channel, 300)
        lost = servers[0]
        await lost.server.stop(0)
        after = await who_by_key(channel, 300)
        assert {key for key in before if before[key] != after[key]} == {key for key in before if before[key] == "b0"}
        assert "b0" in before.values()
        assert await envoy.stat("cluster.rng.outlier_detection.ejections_enforced_total") == 0


async def test_calls_without_the_key_are_spread(tmp_path: Path) -> None:
    policy = balanced(Method.MAGLEV, metadata_key="session")
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, treated(policy, a.target, b.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        assert (await who(channel, 100))["a"] == pytest.approx(50, abs=SIGMAS * sqrt(100 / 4))


async def test_a_new_target_starts_slowly(tmp_path: Path) -> None:
    """GIVEN a slow start of 4 s WHEN a target joins THEN its share grows from a tenth of a full one to a full one."""
    window = 4.0
    policy = balanced(Method.ROUND_ROBIN, slow_start=timedelta(seconds=window))
    async with (
        backends("a", "b") as (a, b),
        balancer(tmp_path, treated(policy, a.target)) as (plane, envoy),
        envoy.channel() as channel,
    ):
        await asyncio.sleep(window)  # until the first target's own slow start is over
        joined = time.monotonic()
        await plane.serve(treated(policy, a.target, b.target))
        await envoy.has(a.port, b.port)
        first = (await who(channel, 40))["b"]
        # As the last of those calls had it, on a machine however slow.
        weight = max(0.1, min(1.0, (time.monotonic() - joined) / window))
        assert 1 <= first <= 40 * weight / (1 + weight) + 8

        await asyncio.sleep(joined + window - time.monotonic())

        async def full_share() -> bool:
            return abs((await who(channel, 40))["b"] - 20) <= 1

        await eventually(full_share, "a full share")
        assert await reads(envoy.stat("cluster.rng.membership_total"), 2)
