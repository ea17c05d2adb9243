"""New targets get no call before they accept connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from grpc_lb_contract import Document, generation_of
from proxy_image.control_plane import readiness
from proxy_image.control_plane.readiness import Newcomer, ReadinessGate, admitted_only
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.sources.sink import Origin
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.endpoints import endpoints
from proxy_image.control_plane.xds.envoy.listeners import Ports
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType
from tests.ports import free_ports
from tests.proxy_image.control_plane.support import (
    Backend,
    backends,
    eventually,
    rng,
    running_envoy,
    service,
    settings_for,
    target,
    who,
)
from tests.waiting import PATIENCE_SECONDS


def waits(*ports: int) -> list[Newcomer]:
    return [Newcomer.of(target(port)) for port in ports]


def test_who_waits_is_left_out() -> None:
    assert admitted_only(rng(target(1), target(2)), waits(2)) == rng(target(1))


def test_a_service_that_has_no_other_target_keeps_those_that_wait() -> None:
    document = Document((service("new", target(1), target(2)), service("old", target(3), target(4))))
    expected = Document((service("new", target(1), target(2)), service("old", target(3))))
    assert admitted_only(document, waits(1, 2, 4)) == expected


def test_a_draining_target_is_no_other_target() -> None:
    document = rng(target(1, draining=True), target(2))
    assert admitted_only(document, waits(2)) == document


class Door:
    """An reconciler, and what Envoy would get."""

    def __init__(self) -> None:
        self.cache = SnapshotCache()
        self.state = ControlPlaneState()
        self.reconciler = Reconciler(self.cache, Ports("127.0.0.1", 1, 2), self.state)

    def has(self, document: Document) -> bool:
        assert self.cache.snapshot is not None
        envelope = self.cache.snapshot.audiences[Audience.ENVOY].by_type[ResourceType.ENDPOINTS]["rng"].envelope
        (only,) = document.services
        return bool(envelope.value == endpoints(only).SerializeToString(deterministic=True))


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    yield door
    await door.reconciler.close()


async def test_the_first_document_of_a_process_is_served_whole(door: Door) -> None:
    (port,) = free_ports(1)
    await door.reconciler.found(rng(target(port)), Origin.SSM)
    assert door.has(rng(target(port)))
    assert door.reconciler.waiting == 0


async def test_a_new_target_is_served_as_soon_as_it_listens(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    # GIVEN a wait of an hour, so that nothing else lets it in
    monkeypatch.setattr(door.reconciler._admission, "_max_wait_seconds", 3600.0)
    async with backends("a") as (a,):
        await door.reconciler.found(rng(a.target), Origin.SSM)
        await door.reconciler.found(rng(a.target, target(port)), Origin.SSM)
        assert door.has(rng(a.target))
        assert door.reconciler.waiting == 1
        await asyncio.sleep(3 * readiness.PAUSE_SECONDS)
        assert door.has(rng(a.target))
        late = Backend("late")
        await late.start(port)
        await eventually(lambda: door.has(rng(a.target, target(port))))
        assert door.reconciler.waiting == 0
        await late.stop()


async def test_a_new_target_that_never_listens_is_served_after_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (port,) = free_ports(1)
    told = asyncio.Event()

    async def changed() -> None:
        told.set()

    at_the_door = ReadinessGate(changed, max_wait_seconds=0.3)
    at_the_door.follow(rng(target(port)), trusted=False)
    assert at_the_door.waiting
    await asyncio.wait_for(told.wait(), PATIENCE_SECONDS)
    assert not at_the_door.waiting
    assert "target admitted although it accepts no connection" in caplog.messages
    await at_the_door.close()


async def test_a_target_that_leaves_while_it_waits_is_tried_no_more(door: Door) -> None:
    (port,) = free_ports(1)
    async with backends("a") as (a,):
        await door.reconciler.found(rng(a.target), Origin.SSM)
        await door.reconciler.found(rng(a.target, target(port)), Origin.SSM)
        await door.reconciler.found(rng(a.target), Origin.SSM)
        assert door.reconciler.waiting == 0
        names = [task.get_name() for task in asyncio.all_tasks() if not task.cancelling()]
        assert not [name for name in names if name.startswith("admission of")]


async def test_a_target_that_was_admitted_stays_whatever_becomes_of_it(door: Door) -> None:
    async with backends("a", "b") as (a, b):
        await door.reconciler.found(rng(a.target), Origin.SSM)
        await door.reconciler.found(rng(a.target, b.target), Origin.SSM)
        await eventually(lambda: door.has(rng(a.target, b.target)))
        await b.stop()
        (port,) = free_ports(1)
        await door.reconciler.found(rng(a.target, b.target, target(port)), Origin.SSM)
        assert door.has(rng(a.target, b.target))


async def test_a_target_that_waits_and_is_told_to_stop_is_drained_at_once(door: Door) -> None:
    (port,) = free_ports(1)
    async with backends("a") as (a,):
        await door.reconciler.found(rng(a.target), Origin.SSM)
        await door.reconciler.found(rng(a.target, target(port)), Origin.SSM)
        await door.reconciler.found(rng(a.target, target(port, draining=True)), Origin.SSM)
        assert door.has(rng(a.target, target(port, draining=True)))


async def test_the_generation_is_that_of_the_whole_document(door: Door) -> None:
    (port,) = free_ports(1)
    async with backends("a") as (a,):
        await door.reconciler.found(rng(a.target), Origin.SSM)
        await door.reconciler.found(rng(a.target, target(port)), Origin.SSM)
        assert door.reconciler.generation == generation_of(rng(a.target, target(port)))


async def test_no_call_goes_to_a_task_that_does_not_listen_yet_and_none_is_ejected(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    *_, port = free_ports(5)  # the first four are the settings'
    door = Door()
    door.reconciler = Reconciler(door.cache, Ports("127.0.0.1", settings.port, settings.ready_port), door.state)
    async with (
        backends("a") as (a,),
        AdsServer(AdsService(door.cache, door.state, door.state.clients), settings.ads_socket),
        running_envoy(settings) as envoy,
        envoy.channel() as channel,
    ):
        await door.reconciler.found(rng(a.target), Origin.SSM)
        await envoy.ready()
        await door.reconciler.found(rng(a.target, target(port)), Origin.SSM)
        assert await who(channel, 50) == {"a": 50}
        late = Backend("late")
        await late.start(port)
        await envoy.has(a.port, port)
        assert await who(channel, 50) == {"a": 25, "late": 25}
        assert await envoy.stat("cluster.rng.upstream_cx_connect_fail") == 0
        assert await envoy.stat("cluster.rng.outlier_detection.ejections_enforced_total") == 0
        await late.stop()
    await door.reconciler.close()


async def test_a_target_of_two_services_is_new_only_once(door: Door) -> None:
    """GIVEN a target that serves behind a service WHEN another service has it too, and leaves, THEN it never waits."""
    (port,) = free_ports(1)
    one, other = service("one", target(port)), service("other", target(port))
    for services in ((one,), (one, other), (one,), (one, other)):
        await door.reconciler.found(Document(services), Origin.SSM)
        assert door.reconciler.waiting == 0
    # AND once neither has it, it is new again
    await door.reconciler.found(Document(), Origin.SSM)
    await door.reconciler.found(Document((one,)), Origin.SSM)
    assert door.reconciler.waiting == 1
