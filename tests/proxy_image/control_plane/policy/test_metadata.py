"""Which service takes a call, by its metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpc_lb_contract import Condition, Document, Match, Route
from tests.proxy_image.control_plane.support import WHO, backends, balancer, service

CANARY = Condition("x-canary", Match.EXACT, "yes")
ACME = Condition("x-tenant", Match.PREFIX, "acme-")
DEBUG = Condition("x-debug")


async def test_a_call_goes_to_the_service_whose_conditions_it_fits_best(tmp_path: Path) -> None:
    async with backends("all", "own", "canary", "acme", "both", "debug") as (
        everything,
        own,
        canary,
        acme,
        both,
        debug,
    ):
        document = Document(
            (
                service("all", everything.target, routes=[Route()]),
                service("own", own.target, routes=[Route("*", "test.Test")]),
                service("canary", canary.target, routes=[Route("*", "*", (CANARY,))]),
                service("acme", acme.target, routes=[Route("*", "test.Test", (ACME,))]),
                service("both", both.target, routes=[Route("*", "*", (ACME, CANARY))]),
                service("debug", debug.target, routes=[Route("*", "other.Service", (DEBUG,))]),
            )
        )
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            call: Any = channel.unary_unary(WHO)

            async def taken(**metadata: str) -> str:
                pairs = tuple((f"x-{key}", value) for key, value in metadata.items())
                answer: bytes = await call(b"", metadata=pairs, timeout=60)
                return answer.decode()

            assert await taken() == "own"
            assert await taken(canary="yes") == "canary"
            assert await taken(canary="yes!") == "own"
            assert await taken(tenant="acme-1") == "acme"
            assert await taken(tenant="not-acme-1") == "own"
            assert await taken(tenant="acme-1", canary="yes") == "both"
            assert await taken(debug="1") == "own", "its route is of another gRPC service"


async def test_presence_is_enough_where_no_value_is_asked_for(tmp_path: Path) -> None:
    async with backends("all", "debug") as (everything, debug):
        routes = [Route("*", "*", (DEBUG,))]
        document = Document(
            (service("all", everything.target), service("debug", debug.target, routes=routes)),
        )
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            call: Any = channel.unary_unary(WHO)
            assert await call(b"", timeout=60) == b"all"
            assert await call(b"", metadata=(("x-debug", "anything"),), timeout=60) == b"debug"
