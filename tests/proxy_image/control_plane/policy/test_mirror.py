"""Copies of calls to another service, which must not be noticed by whoever makes the calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import grpc
import pytest

from grpc_lb_contract import Document, Fault, Mirror, RateLimit, Route, Status, Target, TrafficPolicy
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.sources.sink import Origin
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.envoy import clusters, mirror
from proxy_image.control_plane.xds.envoy.listeners import Ports
from tests.ports import free_ports
from tests.proxy_image.control_plane.calls import reads, start
from tests.proxy_image.control_plane.policies import codes
from tests.proxy_image.control_plane.support import (
    STAY,
    STREAM,
    Backend,
    backends,
    balancer,
    eventually,
    logged,
    service,
    target,
    who,
)
from tests.waiting import PATIENCE_SECONDS

SIGMAS = 5
"""One run in 1.7 million is further off by chance (two-sided, normal approximation of the binomial)."""
ACTIVE = "cluster.shadow~mirror.upstream_rq_active"


def mirroring(target: Target, *others: Target, percent: float = 100.0, to: str = "shadow") -> Document:
    """Calls to `rng`, copied to the service of the others."""
    rng = replace(service("rng", target), policy=TrafficPolicy(mirror=Mirror(to, percent)))
    return Document((rng, *((service("shadow", *others, routes=[Route("shadow.test")]),) if others else ())))


async def test_a_share_of_the_calls_is_copied_and_answered_by_their_own_targets_alone(tmp_path: Path) -> None:
    async with (
        backends("a", "m") as (a, m),
        balancer(tmp_path, mirroring(a.target, m.target, percent=25.0)) as (_, envoy),
        envoy.channel() as channel,
    ):
        assert await who(channel, 400, metadata=(("asked", "yes"),)) == {"a": 400}
        await eventually(lambda: reads(envoy.stat(ACTIVE), 0))
        assert m.seen["who"] == pytest.approx(100, abs=SIGMAS * sqrt(400 * 3 / 16))
        assert m.metadata[0]["asked"] == "yes"


async def test_what_the_mirrored_service_says_about_its_calls_does_not_hold_for_copies(tmp_path: Path) -> None:
    """Nor are copies copied where it is mirrored in turn."""
    async with backends("a", "m") as (a, m):
        rng, shadow = mirroring(a.target, m.target).services
        policy = TrafficPolicy(
            mirror=Mirror("rng"), rate_limit=RateLimit(calls_per_second=1), fault=Fault(abort=Status.ABORTED)
        )
        document = Document((rng, replace(shadow, policy=policy)))
        async with balancer(tmp_path, document) as (_, envoy), envoy.channel() as channel:
            assert await who(channel, 10) == {"a": 10}
            await eventually(lambda: m.seen["who"] == 10)
            assert a.seen["who"] == 10
            added = m.metadata[0].keys() - a.metadata[0].keys()
            assert added == {"x-envoy-internal", "x-forwarded-for"}


async def test_streams_are_copied_too(tmp_path: Path) -> None:
    async with (
        backends("a", "m") as (a, m),
        balancer(tmp_path, mirroring(a.target, m.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        stream: Any = start(channel.unary_stream(STREAM))
        assert await stream.read() == b"a"
        await eventually(lambda: m.seen["stream"] == 1)
        m.release.set()
        a.release.set()
        assert await stream.read() == b"end"
        assert await stream.code() == grpc.StatusCode.OK


async def test_a_mirror_that_fails_or_cannot_be_reached_is_not_noticed(tmp_path: Path) -> None:
    async with (
        backends("a", "m") as (a, m),
        balancer(tmp_path, mirroring(a.target, m.target)) as (plane, envoy),
        envoy.channel() as channel,
    ):
        m.abort = grpc.StatusCode.INTERNAL
        assert await codes(channel, 20) == {grpc.StatusCode.OK: 20}
        await eventually(lambda: m.seen["who"] == 20)
        (closed,) = free_ports(1)
        await plane.serve(mirroring(a.target, target(closed)))
        await eventually(lambda: reads(envoy.endpoints("shadow~mirror"), {closed: "HEALTHY"}))
        assert await codes(channel, 20) == {grpc.StatusCode.OK: 20}
        assert a.seen["who"] == 40


async def test_a_mirror_that_never_answers_delays_no_call_and_its_copies_are_bounded_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "MAX_COPIES", 3)
    monkeypatch.setattr(clusters, "MAX_COPY_SECONDS", 5.0)
    async with (
        backends("a", "m") as (a, m),
        balancer(tmp_path, mirroring(a.target, m.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        a.release.set()
        calls: list[Any] = [start(channel.unary_unary(STAY), timeout=PATIENCE_SECONDS) for _ in range(10)]
        assert [await call for call in calls] == [b"a"] * 10
        # THEN all have been answered while the copies are still in flight
        assert await envoy.stat("cluster.shadow~mirror.upstream_rq_max_duration_reached") == 0
        await eventually(lambda: m.seen["stay"] == 3)
        await eventually(lambda: reads(envoy.stat(ACTIVE), 0), "the end of the copies")
        assert await envoy.stat("cluster.shadow~mirror.upstream_rq_max_duration_reached") == 3


def takes_uploads(backend: Backend, *, once_released: bool = False) -> None:
    async def take(messages: AsyncIterator[bytes], _context: Any) -> bytes:
        if once_released:
            await backend.release.wait()
        return str(sum([len(message) async for message in messages])).encode()

    handler: Any = grpc.stream_unary_rpc_method_handler(take)
    backend.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Up", {"Take": handler}),))


async def test_an_upload_that_its_mirror_does_not_read_goes_on_when_the_copy_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "MAX_COPY_SECONDS", 0.5)
    async with (
        backends("a", "m") as (a, m),
        balancer(tmp_path, mirroring(a.target, m.target)) as (_, envoy),
        envoy.channel() as channel,
    ):
        takes_uploads(a)
        takes_uploads(m, once_released=True)

        async def megabytes() -> AsyncIterator[bytes]:
            for _ in range(150):
                yield bytes(1_000_000)

        take: Any = channel.stream_unary("/test.Up/Take")
        assert await take(megabytes(), timeout=60) == b"150000000"
        assert await envoy.stat("cluster.shadow~mirror.upstream_flow_control_backed_up_total") > 0


@pytest.mark.parametrize("to", ["shadow", "rng"])
async def test_a_mirror_that_is_not_there_or_the_service_itself_does_no_harm(tmp_path: Path, to: str) -> None:
    async with (
        backends("a", "m") as (a, m),
        balancer(tmp_path, mirroring(a.target, to=to)) as (plane, envoy),
        envoy.channel() as channel,
    ):
        assert await who(channel, 10) == {"a": 10}
        assert a.seen["who"] == 10
        await plane.serve(mirroring(a.target, m.target))

        async def copied() -> bool:
            await who(channel)
            return m.seen["who"] > 0

        await eventually(copied, "copies, once the service is there")
        for kind in ("CDS", "EDS", "LDS", "RDS"):
            labels = {"audience": "envoy", "type": kind}
            assert plane.registry.get_sample_value("grpc_lb_xds_rejections_total", labels) == 0


async def test_what_is_not_obeyed_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    reconciler = Reconciler(SnapshotCache(), Ports("127.0.0.1", 1, 2), ControlPlaneState())
    one, two = target(1), target(2)
    for document in (mirroring(one), mirroring(two), mirroring(one, two), mirroring(one, to="rng")):
        await reconciler.found(document, Origin.SSM)
    assert [(fact["value"], fact["problem"]) for fact in logged(caplog, "policy not applied")] == [
        ("shadow", "must be a service of this balancer: no call is copied until it is"),
        ("rng", "must be another service: no call is copied"),
    ]
    assert {fact["service"] for fact in logged(caplog, "policy not applied")} == {"rng"}
    await reconciler.close()
