"""Single methods, priorities, negated conditions, and settings of a route's own: by real calls."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from grpc_lb_contract import (
    Condition,
    Document,
    Match,
    Route,
    Service,
    resolve_conflicts,
)
from tests.proxy_image.control_plane.calls import channel_to
from tests.proxy_image.control_plane.support import (
    GRPC_SERVICE,
    WHICH,
    WHO,
    Backend,
    ControlPlane,
    Envoy,
    backends,
    balancer,
    eventually,
    service,
)

CANARY = Condition("x-canary", Match.EXACT, "yes")
NOT_CANARY = Condition("x-canary", Match.NOT_EXACT, "yes")
DEBUG = Condition("x-debug")
NO_DEBUG = Condition("x-debug", Match.ABSENT)
OF_WHO = Route("*", GRPC_SERVICE, method="Who")


class Callers:
    """Asks who answers, by host, method and metadata."""

    def __init__(self, envoy: Envoy) -> None:
        self._envoy = envoy

    async def __call__(self, method: str = WHO, host: str = "a.test", **metadata: str) -> str:
        pairs = tuple((f"x-{key}", value) for key, value in metadata.items())
        async with channel_to(self._envoy, host) as channel:
            call: Any = channel.unary_unary(method)
            answer: bytes = await call(b"", metadata=pairs, timeout=60)
            return answer.decode()


@asynccontextmanager
async def routed(tmp_path: Path, **routes: Sequence[Route]) -> AsyncIterator[Callers]:
    """A server for each service, by the name of which it answers."""
    async with backends(*routes) as servers:
        services = [service(one.name, one.target, routes=routes[one.name]) for one in servers]
        async with balancer(tmp_path, Document(tuple(services))) as (_, envoy):
            yield Callers(envoy)


async def test_a_single_method_goes_to_another_service_and_the_others_stay(tmp_path: Path) -> None:
    async with routed(
        tmp_path,
        everything=[Route()],
        its=[Route("*", GRPC_SERVICE)],
        who=[OF_WHO],
        prefix=[Route("*", GRPC_SERVICE, method="Whi")],
    ) as asked:
        assert await asked(WHO) == "who"
        assert await asked(WHICH) == "its", "neither a route of Who nor of what its name begins with"


async def test_a_method_that_only_one_service_takes_is_answered_by_no_other(tmp_path: Path) -> None:
    async with routed(tmp_path, who=[OF_WHO]) as asked:
        assert await asked(WHO) == "who"
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await asked(WHICH)
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "no service behind this balancer takes this call" in str(failed.value.details())


async def test_the_highest_priority_takes_a_call_before_the_most_conditions_but_only_of_its_host(
    tmp_path: Path,
) -> None:
    async with routed(
        tmp_path,
        rest=[Route(priority=1_000_000)],
        wild=[Route("*.test", priority=9)],
        first=[Route("a.test", priority=5), Route("b.test", GRPC_SERVICE, (DEBUG,), "Who", priority=1)],
        exact=[Route("a.test", GRPC_SERVICE, (CANARY, DEBUG), "Who")],
        second=[Route("b.test", priority=0), Route("b.test", GRPC_SERVICE, (CANARY, DEBUG), "Who")],
    ) as asked:
        assert await asked(WHO, "a.test", canary="yes", debug="1") == "first"
        assert await asked(WHO, "b.test", canary="yes", debug="1") == "first"
        # AND of one priority the most conditions come first
        assert await asked(WHO, "b.test", canary="yes") == "second"
        # AND a more specific host comes before any priority
        assert await asked(WHO, "b.test") == "second"
        assert await asked(WHO, "c.test") == "wild"
        assert await asked(WHO, "elsewhere") == "rest"


async def test_with_one_priority_conditions_come_before_the_method_and_that_before_the_grpc_service(
    tmp_path: Path,
) -> None:
    async with routed(
        tmp_path,
        rest=[Route()],
        its=[Route("*", GRPC_SERVICE)],
        who=[OF_WHO],
        canary=[Route("*", "*", (CANARY,))],
    ) as asked:
        assert await asked(WHO, canary="yes") == "canary"
        assert await asked(WHO) == "who"
        assert await asked(WHICH) == "its"


async def test_what_a_host_has_no_route_for_goes_to_a_wider_one_by_its_priorities(tmp_path: Path) -> None:
    async with routed(
        tmp_path,
        own=[replace(OF_WHO, host="a.test")],
        low=[Route("*", GRPC_SERVICE, (CANARY,), "Which")],
        high=[Route("*", GRPC_SERVICE, priority=1)],
    ) as asked:
        assert await asked(WHO) == "own"
        assert await asked(WHICH, canary="yes") == "high"


async def test_negated_conditions_take_the_calls_that_do_not_fit(tmp_path: Path) -> None:
    async with routed(
        tmp_path,
        canary=[Route("a.test")],
        others=[Route("a.test", "*", (NOT_CANARY,))],
        rest=[Route("b.test")],
        quiet=[Route("b.test", "*", (NO_DEBUG,))],
    ) as asked:
        assert await asked(canary="yes") == "canary"
        assert await asked(canary="no") == "others"
        assert await asked(canary="yes!") == "others"
        assert await asked() == "others", "a call without the key has not that value"
        # AND a condition of absence takes those without the key, whatever its value is elsewhere
        assert await asked(WHO, "b.test") == "quiet"
        assert await asked(WHO, "b.test", debug="1") == "rest"
        assert await asked(WHO, "b.test", debug="") == "rest"


async def test_of_two_that_ask_for_a_route_the_holder_keeps_it_then_the_priority_then_the_name(tmp_path: Path) -> None:
    """GIVEN two services that ask for the same calls WHEN one after the other is given more weight THEN calls tell."""

    def asks(server: Backend, priority: int) -> Service:
        routes = [replace(OF_WHO, priority=priority), Route(f"{server.name}.test")]
        return service(server.name, server.target, routes=routes)

    async with backends("a", "b") as (a, b), balancer(tmp_path, Document()) as (plane, envoy):
        asked = Callers(envoy)

        async def taken_by(previous: Document | None, a_priority: int, b_priority: int) -> tuple[str, Document]:
            document = Document(resolve_conflicts([asks(b, b_priority), asks(a, a_priority)], previous)[0])
            return await settled_caller(plane, asked, document), document

        assert (await taken_by(None, 0, 0))[0] == "a", "the first by name"
        taken, held_by_b = await taken_by(None, 0, 1)
        assert taken == "b", "the higher priority"
        assert (await taken_by(held_by_b, 9, 0))[0] == "b", "the holder"
        # AND who lost keeps its other routes
        assert [await asked(WHO, host) for host in ("a.test", "b.test")] == ["a", "b"]


async def settled_caller(plane: ControlPlane, asked: Callers, document: Document) -> str:
    """Who takes a call once Envoy has the document: one more service in it, at a host of its own, tells that."""
    (marked,) = [one for one in document.services if one.name == "a"]
    host = f"g{time.monotonic_ns()}.test"
    there = replace(marked, routes=(*marked.routes, Route(host)))
    await plane.serve(Document((there, *(one for one in document.services if one.name != "a"))))

    async def has_it() -> bool:
        return await asked(WHICH, host) == "a"

    await eventually(has_it, "the document in Envoy")
    return await asked(WHO, "elsewhere")
