"""500 services of 10 targets each: the Lambda's own writer, a fake at AWS's edge, the real reader, a real Envoy."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from grpc_lb_contract import Balancing, Document, Method, Service, TargetState, TrafficPolicy
from lambda_src.clock import Clock
from lambda_src.publish import ParameterStore
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.sources.last_good import LastGood
from proxy_image.control_plane.sources.parameters import SsmParameters
from proxy_image.control_plane.sources.poll_intervals import Intervals
from proxy_image.control_plane.sources.ssm import SsmSource
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.envoy.listeners import Ports
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType
from tests.grpc_lb_contract.fleets import fleet
from tests.lambda_src.fake_aws import PREFIX, FakeAws
from tests.proxy_image.control_plane.support import (
    Envoy,
    backends,
    eventually,
    running_envoy,
    settings_for,
)

SERVICES = 500
NAME = "service-250"


class Witness(ControlPlaneState):
    """Counts the answers to Envoy by type, and those that Envoy took."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()

    def response_sent(self, audience: Audience, resource_type: str) -> None:
        super().response_sent(audience, resource_type)
        self.sent[resource_type] += 1

    def accepted(self, audience: Audience, resource_type: str, node: str) -> None:
        super().accepted(audience, resource_type, node)
        self.taken[resource_type] += 1


class Skipping:
    """The time for the Lambda's writer, which never waits for SSM's limit of writes: its pauses pass at once."""

    def __init__(self) -> None:
        self.skipped = 0.0
        self.clock = Clock(now=lambda: time.time() + self.skipped, sleep=self._skip)

    def _skip(self, seconds: float) -> None:
        self.skipped += seconds


class World:
    """A balancer that reads what the Lambda's writer publishes, each time the test says."""

    def __init__(self, state_dir: Path) -> None:
        self.settings = settings_for(state_dir)
        self.cache, self.witness = SnapshotCache(), Witness()
        self.aws = FakeAws()
        self.store = ParameterStore(self.aws.client("ssm"), PREFIX)
        self.store.clock = Skipping().clock
        settings = self.settings
        self.reconciler = Reconciler(
            self.cache, Ports(settings.bind_address, settings.port, settings.ready_port), self.witness
        )
        self.source = SsmSource(
            SsmParameters(self.aws.client("ssm")),
            prefix=PREFIX,
            intervals=Intervals(1, 1),
            last_good=LastGood(settings.state_dir, PREFIX),
            sink=self.reconciler,
        )
        self.document = Document()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Envoy]:
        async with (
            AdsServer(AdsService(self.cache, self.witness, self.witness.clients), self.settings.ads_socket),
            running_envoy(self.settings) as envoy,
        ):
            await self.source.start()
            try:
                await envoy.ready()
                yield envoy
            finally:
                await self.reconciler.close()

    async def publish(self, document: Document) -> None:
        self.document = document
        await asyncio.to_thread(lambda: self.store.publish(document, self.store.read()))

    async def change(self, changed: Service, *, answers: int) -> None:
        """Publishes the document with a service changed, reads once, and waits until Envoy has taken the answers."""
        others = tuple(each for each in self.document.services if each.name != changed.name)
        self.witness.sent.clear()
        self.witness.taken.clear()
        await self.publish(Document((*others, changed)))
        assert await self.source.read() is None
        await eventually(lambda: self.witness.taken.total() >= answers, f"{answers} answers, got {self.witness.taken}")


async def updates(envoy: Envoy) -> Counter[str]:
    """How often Envoy has taken resources, by what they are of: a cluster's name for its endpoints."""
    answer = await envoy.admin(r"/stats?format=json&filter=(update_success|cluster_modified|cluster_added)$")
    names = {stat["name"]: stat["value"] for stat in answer.json()["stats"]}
    return Counter({name.removesuffix(".update_success"): value for name, value in names.items()})


async def test_of_500_services_only_the_one_that_changed_is_sent_after_one_reading(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.publish(fleet(SERVICES * 10, services=SERVICES))
    (before_change,) = (each for each in world.document.services if each.name == NAME)
    async with backends("new") as (new,), world.running() as envoy:
        assert world.reconciler.generation is not None
        joins = replace(new.target, group=before_change.groups[0].name)
        with_newcomer = replace(before_change, targets=(*before_change.targets, joins))
        drains = replace(with_newcomer, targets=(*before_change.targets, replace(joins, state=TargetState.DRAINING)))
        at_first = await updates(envoy)
        # WHEN a target joins, drains and leaves
        for changed in (with_newcomer, drains, before_change):
            before = await updates(envoy)
            await world.change(changed, answers=1)
            # THEN each time Envoy is sent one answer, with the endpoints of that service and of no other
            assert world.witness.sent == {ResourceType.ENDPOINTS: 1}
            assert await updates(envoy) - before == {f"cluster.{NAME}": 1}
            # AND has what was published
            total = await envoy.stat(f"cluster.{NAME}.membership_total")
            assert total == len(changed.targets)
        assert await updates(envoy) - at_first == {f"cluster.{NAME}": 3}


async def test_of_500_services_only_the_one_with_another_policy_is_changed_in_envoy(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.publish(fleet(SERVICES * 10, services=SERVICES))
    (before_change,) = (each for each in world.document.services if each.name == NAME)
    async with world.running() as envoy:
        before = await updates(envoy)
        policy = TrafficPolicy(balancing=Balancing(method=Method.RING_HASH, metadata_key="x-user"))
        await world.change(replace(before_change, policy=policy), answers=3)
        # THEN its cluster, its endpoints, for which a changed cluster waits, and the routes, which hold its policy
        assert world.witness.sent == {ResourceType.CLUSTER: 1, ResourceType.ENDPOINTS: 1, ResourceType.ROUTES: 1}
        changed = await updates(envoy) - before
        assert changed == {
            "cluster_manager.cluster_modified": 1,
            "cluster_manager.cds": 1,
            f"cluster.{NAME}": 1,
            "http.calls.rds.calls": 1,
        }
