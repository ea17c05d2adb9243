"""Which service takes a call, through a real Envoy that only our ADS server configures."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from grpc_lb_contract import Document, Route
from tests.proxy_image.control_plane.calls import (
    channel_to,
    failure_of,
    reads,
    start,
)
from tests.proxy_image.control_plane.support import (
    GRPC_SERVICE,
    STREAM,
    backends,
    balancer,
    eventually,
    service,
    who,
)


async def test_a_service_that_leaves_the_document_finishes_its_calls(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        both = Document(
            (
                service("one", a.target, routes=[Route("one.test")]),
                service("two", b.target, routes=[Route("two.test")]),
            )
        )
        async with balancer(tmp_path, both) as (plane, envoy), channel_to(envoy, "one.test") as one:
            stream: Any = start(one.unary_stream(STREAM))
            assert await stream.read() == b"a"
            await plane.serve(Document((service("two", b.target, routes=[Route("two.test")]),)))
            await eventually(lambda: reads(envoy.endpoints("one"), {}))
            assert await failure_of(one) == grpc.StatusCode.UNIMPLEMENTED
            a.release.set()
            assert await stream.read() == b"end"


def answered_more(answers: Counter[str], name: str, before: int) -> bool:
    return answers[name] > before


async def test_while_services_come_and_go_no_call_to_another_fails(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        one = service("one", a.target)
        two = service("two", b.target, routes=[Route("*", GRPC_SERVICE)])
        async with balancer(tmp_path, Document((one,))) as (plane, envoy), envoy.channel() as channel:
            answers: Counter[str] = Counter()
            stop = asyncio.Event()

            async def call() -> None:
                while not stop.is_set():
                    answers.update(await who(channel))

            calling = [asyncio.create_task(call()) for _ in range(4)]
            for turn in range(20):
                # The catch-all route stands for the specific one whenever that is away.
                document, takes_over = (Document((one, two)), "b") if turn % 2 == 0 else (Document((one,)), "a")
                before = answers[takes_over]
                await plane.serve(document)
                await eventually(partial(answered_more, answers, takes_over, before), takes_over)
            stop.set()
            await asyncio.gather(*calling)
            assert answers["a"] > 0
            assert answers["b"] > 0


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        ("one.test", "a"),
        ("one.test:50051", "a"),
        ("x.wild.test", "b"),
        ("one.test.", "a"),
        ("x.wild.test.", "c"),
        ("elsewhere.test", "c"),
    ],
)
async def test_hosts_lead_to_their_services(tmp_path: Path, authority: str, expected: str) -> None:
    async with backends("a", "b", "c") as (a, b, c):
        document = Document(
            (
                service("one", a.target, routes=[Route("one.test")]),
                service("wild", b.target, routes=[Route("*.wild.test")]),
                service("rest", c.target, routes=[Route("*", GRPC_SERVICE)]),
            )
        )
        async with balancer(tmp_path, document) as (_, envoy), channel_to(envoy, authority) as channel:
            assert await who(channel, 1) == {expected: 1}


async def test_a_specific_host_takes_the_calls_for_all_hosts_that_it_has_no_route_for(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        document = Document(
            (
                service("one", a.target, routes=[Route("one.test", "other.Service")]),
                service("rest", b.target, routes=[Route("*", GRPC_SERVICE)]),
            )
        )
        async with balancer(tmp_path, document) as (_, envoy), channel_to(envoy, "one.test") as channel:
            assert await who(channel, 1) == {"b": 1}


async def test_a_call_that_no_service_takes_is_told_so_in_grpc(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        document = Document((service("one", a.target, routes=[Route("one.test", GRPC_SERVICE)]),))
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await who(channel)
            assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED
            assert "grpc-lb.hosts" in (failed.value.details() or "")


async def test_a_service_without_targets_answers_unavailable_and_the_others_serve(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        document = Document((service("empty", routes=[Route("empty.test")]), service("rng", a.target)))
        async with (
            balancer(tmp_path, document) as (_, envoy),
            envoy.channel() as channel,
            channel_to(envoy, "empty.test") as empty,
        ):
            assert await failure_of(empty) == grpc.StatusCode.UNAVAILABLE
            assert await who(channel, 1) == {"a": 1}
