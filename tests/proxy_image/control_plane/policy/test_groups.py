"""Weights of groups: a canary's share of the calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from grpc_lb_contract import Balancing, Method, TrafficPolicy
from tests.proxy_image.control_plane.calls import failure_of, start
from tests.proxy_image.control_plane.policies import treated, weighed
from tests.proxy_image.control_plane.support import STREAM, backends, balancer, eventually, target, who


async def test_a_canary_gets_its_share_and_each_task_of_a_group_the_same(tmp_path: Path) -> None:
    """GIVEN weights 95 and 5 WHEN 400 calls come on one connection THEN they are 190, 190 and 20.

    Envoy's weighted order is no lottery: each of its threads is off by at most 2 calls, where it stands in the order.
    """
    async with backends("a", "b", "canary") as (a, b, canary):
        targets = target(a.port, group="blue"), target(b.port, group="blue"), target(canary.port, group="green")
        document = weighed({"blue": 95, "green": 5}, *targets)
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            answers = await who(channel, 400)
            assert answers["canary"] == pytest.approx(20, abs=2)
            assert abs(answers["a"] - answers["b"]) <= 1


async def test_a_group_of_weight_0_gets_no_call(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        document = weighed({"blue": 100, "green": 0}, target(a.port, group="blue"), target(b.port, group="green"))
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            assert await who(channel, 50) == {"a": 50}


async def test_a_group_of_weight_0_does_not_stand_in_for_one_that_cannot_be_reached(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        document = weighed({"blue": 100, "green": 0}, target(a.port, group="blue"), target(b.port, group="green"))
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            await a.server.stop(0)
            for _ in range(10):
                assert await failure_of(channel) == grpc.StatusCode.UNAVAILABLE
            assert not b.seen


async def test_a_service_whose_only_group_has_weight_0_takes_no_call(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        document = weighed({"blue": 0}, target(a.port, group="blue"))
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            assert await failure_of(channel) == grpc.StatusCode.UNAVAILABLE
            assert not a.seen


async def test_groups_without_weights_make_no_difference(tmp_path: Path) -> None:
    async with backends("a", "b", "c") as (a, b, c):
        targets = target(a.port, group="blue"), target(b.port, group="blue"), target(c.port, group="green")
        document = weighed({"blue": 1, "green": 1}, *targets)
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            assert await who(channel, 90) == {"a": 30, "b": 30, "c": 30}


async def test_a_group_keeps_its_share_while_its_tasks_drain_and_the_last_gives_it_to_the_others(
    tmp_path: Path,
) -> None:
    async with backends("a", "b", "c", "canary") as (a, b, c, canary):
        green = target(canary.port, group="green")
        blue = [target(each.port, group="blue") for each in (a, b, c)]
        leaving = [target(each.port, group="blue", draining=True) for each in (a, b, c)]
        weights = {"blue": 90, "green": 10}
        document = weighed(weights, *leaving[:2], blue[2], green)
        async with balancer(tmp_path, document) as (plane, envoy), envoy.channel() as channel:
            answers = await who(channel, 200)
            assert set(answers) == {"c", "canary"}
            assert answers["canary"] == pytest.approx(20, abs=2)
            await plane.serve(weighed(weights, *leaving, green))

            async def all_go_to_the_canary() -> bool:
                return await who(channel, 10) == {"canary": 10}

            await eventually(all_go_to_the_canary)


async def test_a_group_keeps_its_share_while_any_of_its_tasks_can_be_reached(tmp_path: Path) -> None:
    async with backends("a", "b", "c", "canary") as (a, b, c, canary):
        blue = [target(each.port, group="blue") for each in (a, b, c)]
        document = weighed({"blue": 90, "green": 10}, *blue, target(canary.port, group="green"))
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            await a.server.stop(0)
            await b.server.stop(0)

            async def both_are_ejected() -> bool:
                await who(channel, 10)
                return await envoy.stat("cluster.rng.outlier_detection.ejections_active") == 2

            await eventually(both_are_ejected)
            answers = await who(channel, 100)
            assert answers["canary"] == pytest.approx(10, abs=3)


async def test_a_share_goes_to_the_other_groups_while_the_groups_tasks_cannot_be_reached(tmp_path: Path) -> None:
    async with backends("a", "b", "canary") as (a, b, canary):
        targets = target(a.port, group="blue"), target(b.port, group="blue"), target(canary.port, group="green")
        document = weighed({"blue": 50, "green": 50}, *targets)
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            await canary.server.stop(0)
            answers = await who(channel, 100)
            assert set(answers) == {"a", "b"}
            assert abs(answers["a"] - answers["b"]) <= 3


async def test_invariant_8_weights_that_come_and_go_cut_no_stream(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        blue, green = target(a.port, group="blue", zone="z1"), target(b.port, group="green", zone="z2")
        async with (
            balancer(tmp_path, treated(TrafficPolicy(), blue, green)) as (plane, envoy),
            envoy.channel() as channel,
        ):
            streams: list[Any] = [start(channel.unary_stream(STREAM)) for _ in range(2)]
            assert {await stream.read() for stream in streams} == {b"a", b"b"}
            for weights in ({"blue": 90, "green": 10}, {"blue": 0, "green": 10}, {"blue": 1, "green": 1}):
                await plane.serve(weighed(weights, blue, green))

                async def calls_follow(weights: dict[str, int] = weights) -> bool:
                    answers = await who(channel, 20)
                    return answers["b"] == {90: 2, 0: 20, 1: 10}[weights["blue"]]

                await eventually(calls_follow, f"{weights}")
            a.release.set()
            b.release.set()
            assert [await stream.read() for stream in streams] == [b"end", b"end"]
            assert [await stream.code() for stream in streams] == [grpc.StatusCode.OK] * 2


@pytest.mark.parametrize("method", [Method.LEAST_REQUEST, Method.RANDOM])
async def test_weights_hold_with_every_way_to_balance(tmp_path: Path, method: Method) -> None:
    async with backends("a", "canary") as (a, canary):
        policy = TrafficPolicy(balancing=Balancing(method=method))
        document = weighed(
            {"blue": 80, "green": 20}, target(a.port, group="blue"), target(canary.port, group="green"), policy=policy
        )
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            assert (await who(channel, 200))["canary"] == pytest.approx(40, abs=2)
