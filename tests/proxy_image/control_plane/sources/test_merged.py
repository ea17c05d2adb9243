"""Several clusters behind one balancer: their documents become one, and the trouble of one stays with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from moto import mock_aws

from grpc_lb_contract import (
    Cause,
    CauseKind,
    Diagnostics,
    Document,
    Group,
    Limits,
    RejectedLabel,
    Route,
    ShadowedRoute,
    TrafficPolicy,
    index_parameter,
    pack,
)
from proxy_image.control_plane.app import source_of
from proxy_image.control_plane.sources.last_good import FILE_NAME, LastGood
from proxy_image.control_plane.sources.merged import Merged, merge
from proxy_image.control_plane.sources.poll_intervals import Intervals
from proxy_image.control_plane.sources.sink import Origin, Trouble
from proxy_image.control_plane.sources.ssm import SsmSource
from proxy_image.settings import from_environment
from tests.proxy_image.control_plane.fakes import PREFIX, FakeParameters, RememberingSink
from tests.proxy_image.control_plane.policies import weighed
from tests.proxy_image.control_plane.support import eventually, logged, rng, service, target

ORDERS = Document((service("orders", target(1), routes=[Route("orders")]),))
BILLING = Document((service("billing", target(2), routes=[Route("billing")]),))
BOTH = Document((*ORDERS.services, *BILLING.services))


def test_services_of_all_documents_are_in_the_merged_one() -> None:
    assert merge([ORDERS, BILLING]) == (BOTH, ())
    assert merge([ORDERS]) == (ORDERS, ())


def test_services_of_one_name_share_their_calls() -> None:
    blue = Document((service("rng", target(1, group="blue"), routes=[Route("a")]),))
    green = Document((service("rng", target(2, group="green"), target(3, group="blue"), routes=[Route("b")]),))
    document, conflicts = merge([blue, green])
    (merged,) = document.services
    assert conflicts == ()
    assert merged.routes == (Route("a"), Route("b"))
    assert merged.groups == (Group("blue"), Group("green"))
    assert {each.port for each in merged.targets} == {1, 2, 3}


def test_what_labels_asked_for_in_vain_is_known_of_all_clusters_and_between_them() -> None:
    refused = Diagnostics((RejectedLabel("rng", 1, "grpc-lb.port", "x", "must be 1..65535"),))
    other = Document((service("aaa", target(9), routes=[Route("orders")]),), Diagnostics(more_rejected=2))
    document, _ = merge([Document(ORDERS.services, refused), other])
    shadowed = ShadowedRoute("host orders and gRPC service *", "orders", "aaa")
    assert document.diagnostics == Diagnostics(refused.rejected_labels, (shadowed,), 2)


def test_a_route_that_one_service_has_in_two_clusters_is_that_of_the_earlier() -> None:
    first, second = (Document((service("rng", target(number), routes=[Route(priority=number)]),)) for number in (1, 2))
    assert [merge(both)[0].services[0].routes for both in ([first, second], [second, first])] == [
        (Route(priority=1),),
        (Route(priority=2),),
    ]


async def test_the_cause_of_a_merged_document_is_that_of_the_cluster_that_changed() -> None:
    sink = RememberingSink()
    merged = Merged(["one", "two"], sink)
    one, two = merged.parts
    cause = Cause(CauseKind.SCHEDULED, published=1.0)
    await one.found(ORDERS, Origin.SSM)
    await two.found(BILLING, Origin.SSM, cause=cause)
    assert (sink.document, sink.causes) == (BOTH, [cause])


def test_a_canary_in_one_cluster_stays_small_beside_the_groups_of_another() -> None:
    blue = Document((service("rng", target(1, group="blue")),))
    canary = weighed({"green": 5}, target(2, group="green"), policy=TrafficPolicy(limits=Limits(requests=9)))
    (merged,) = merge([blue, canary])[0].services
    assert merged.groups == (Group("blue", 100), Group("green", 5))
    assert merged.policy == TrafficPolicy()
    assert merge([canary, blue])[0].services == (replace(merged, policy=canary.services[0].policy),)


def test_invariant_11_a_service_of_another_cluster_never_takes_a_route_from_the_one_that_holds_it() -> None:
    """GIVEN two that ask for one route, THEN the order of the clusters decides, not names and not who came first."""
    other = Document((service("aaa", target(9), routes=[Route("orders"), Route("mine")]),))
    document, (conflict,) = merge([ORDERS, other])
    assert {each.name: each.routes for each in document.services} == {
        "aaa": (Route("mine"),),
        "orders": (Route("orders"),),
    }
    assert (conflict.holder, conflict.loser) == ("orders", "aaa")
    document, (conflict,) = merge([other, ORDERS])
    assert {each.name: each.routes for each in document.services} == {
        "aaa": (Route("mine"), Route("orders")),
        "orders": (),
    }
    assert (conflict.holder, conflict.loser) == ("aaa", "orders")


def test_a_service_of_a_name_in_two_clusters_takes_with_its_later_part_no_route_from_the_earlier_cluster() -> None:
    first = Document((service("rng", target(1), routes=[Route("a")]), service("zoo", target(2), routes=[Route("b")])))
    later = Document((service("rng", target(3), routes=[Route("b"), Route("c")]),))
    document, (conflict,) = merge([first, later])
    assert {each.name: each.routes for each in document.services} == {
        "rng": (Route("a"), Route("c")),
        "zoo": (Route("b"),),
    }
    assert (conflict.holder, conflict.loser) == ("zoo", "rng")


class World:
    """Two clusters, and what the balancer makes of them."""

    def __init__(self, state_dir: Path) -> None:
        self.parameters = (FakeParameters(), FakeParameters())
        self.state_dir = state_dir
        self.sink = RememberingSink()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A control plane that starts now, with what an earlier one has left on the disk."""
        self.sink = RememberingSink()
        merged = Merged(["/first", "/second"], self.sink)
        sources = [
            SsmSource(
                parameters,
                prefix=PREFIX,
                intervals=Intervals(0.02, 0.02),
                last_good=LastGood(self.state_dir / part.name[1:], PREFIX),
                sink=part,
            )
            for parameters, part in zip(self.parameters, merged.parts, strict=True)
        ]
        task = asyncio.create_task(merged.run(sources))
        try:
            yield
            assert not task.done(), task.result()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def has(self, document: Document) -> None:
        await eventually(lambda: self.sink.document == document)

    async def has_saved(self) -> None:
        """A document is handed on first and saved then."""
        await eventually(lambda: all((self.state_dir / name / FILE_NAME).exists() for name in ("first", "second")))


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.parameters[0].publish(ORDERS)
    world.parameters[1].publish(BILLING)
    return world


async def test_changes_of_each_cluster_are_followed(world: World) -> None:
    async with world.running():
        await world.has(BOTH)
        world.parameters[1].publish(rng(target(7)))
        await world.has(Document((*ORDERS.services, *rng(target(7)).services)))
        await eventually(lambda: world.sink.confirmations > 0)
        assert world.sink.troubles == []


async def test_balancers_agree_on_a_route_whatever_they_saw_before_and_tell_of_the_conflict_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """GIVEN a balancer that saw the second cluster's service hold a route, WHEN one of the first asks for it too."""
    thief = Document((service("zoo", target(9), routes=[Route("billing"), Route("zoo")]),))
    agreed, _ = merge([thief, BILLING])
    async with world.running():
        await world.has(BOTH)
        world.parameters[0].publish(thief)
        await world.has(agreed)
        assert len(logged(caplog, "route shadowed")) == 1
        world.parameters[0].publish(Document((*thief.services, *rng(target(7)).services)))
        await eventually(lambda: world.sink.document is not None and len(world.sink.document.services) == 3)
        assert len(logged(caplog, "route shadowed")) == 1
        old = world.sink.document
    # THEN it serves what a balancer serves that starts only now
    async with world.running():
        await eventually(lambda: world.sink.document == old)


async def test_each_conflict_between_clusters_is_told_with_what_to_do(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.parameters[0].publish(Document((service("zoo", target(9), routes=[Route("billing"), Route("zoo")]),)))
    async with world.running():
        await eventually(lambda: world.sink.confirmations > 10)
    (facts,) = logged(caplog, "route shadowed")
    assert (facts["host"], facts["holder"], facts["loser"]) == ("billing", "zoo", "billing")
    assert "give billing a host" in facts["problem"]


async def test_one_cluster_in_trouble_takes_out_no_target_of_another(world: World) -> None:
    """GIVEN both are served, WHEN one's document breaks, THEN its last one stays and the other is followed."""
    async with world.running():
        await world.has(BOTH)
        world.parameters[0].texts[index_parameter(PREFIX)] = "{"
        await eventually(lambda: Trouble.BROKEN in world.sink.troubles)
        world.parameters[1].publish(rng(target(7)))
        await world.has(Document((*ORDERS.services, *rng(target(7)).services)))
        # AND the trouble is told as long as it lasts, with the cluster it is of, whatever the other cluster says
        confirmations = world.sink.confirmations
        told = len(world.sink.troubles)
        await eventually(lambda: len(world.sink.troubles) > told + 5)
        assert world.sink.confirmations == confirmations
        assert {message.partition(":")[0] for message in world.sink.messages} == {"/first"}
        world.parameters[0].publish(ORDERS)
        await eventually(lambda: world.sink.confirmations > confirmations)


async def test_a_cluster_that_was_never_published_does_not_hold_up_another(world: World) -> None:
    world.parameters[0].texts.clear()
    async with world.running():
        await world.has(BILLING)
        world.parameters[0].publish(ORDERS)
        await world.has(BOTH)


async def test_invariant_6_a_start_without_one_cluster_takes_nothing_away_from_envoy(world: World) -> None:
    """GIVEN both were served, WHEN a new control plane cannot read one, THEN its first word still has both."""
    async with world.running():
        await world.has(BOTH)
        await world.has_saved()
    world.parameters[0].fails = Trouble.UNREACHABLE
    async with world.running():
        await eventually(lambda: world.sink.document is not None)
        assert world.sink.document == BOTH
        assert set(world.sink.origins) == {Origin.LAST_GOOD}


async def test_invariant_6_a_start_waits_for_a_cluster_that_answers_late(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy_image.control_plane.sources.ssm.FIRST_ANSWER_SECONDS", 0.1)
    async with world.running():
        await world.has(BOTH)
        await world.has_saved()
    world.parameters[0].hangs = True
    async with world.running():
        await eventually(lambda: world.sink.document is not None)
        assert world.sink.document == BOTH


async def test_the_environments_prefixes_are_all_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN two prefixes in SSM, WHEN the control plane's source is made of the environment, THEN it finds both."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    settings = from_environment(
        {"GRPC_LB_PARAMETER_PREFIX": "/lb/one,/lb/two", "GRPC_LB_STATE_DIR": str(tmp_path), "GRPC_LB_POLL_SECONDS": "1"}
    )
    with mock_aws():
        ssm = boto3.client("ssm")
        for prefix, document in (("/lb/one", ORDERS), ("/lb/two", BILLING)):
            ssm.put_parameter(Name=index_parameter(prefix), Value=pack(document).index, Type="String")
        sink = RememberingSink()
        follow = await source_of(settings, cast(Any, sink))
        task = asyncio.create_task(follow())
        saved = [tmp_path / name / FILE_NAME for name in ("cluster-0", "cluster-1")]
        await eventually(lambda: sink.document == BOTH and all(path.exists() for path in saved))
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
