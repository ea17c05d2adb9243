"""A setting is parsed once at each hop, where a process boundary is a hop, and written once for the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from cdk_grpc_lb import Deadline, GrpcBalancer, RouteRule, TrafficPolicy
from grpc_lb_contract import Document, Registration, Route, Service, assemble, pack, read_index, read_labels
from grpc_lb_contract.policy.traffic_policy import TABLE
from lambda_src.publish import ParameterStore, Stored
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.sources.sink import Origin
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.xds import capabilities, snapshot_maker
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.envoy.listeners import Ports
from proxy_image.control_plane.xds.host_routes import HostRoutes
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.validation.cases import existing_cluster
from tests.cdk_grpc_lb.ways import IMAGE
from tests.lambda_src.fake_aws import FakeAws

LABEL = "grpc-lb.deadline.default"


class Counts:
    """How often the texts of one setting were parsed, and its values written."""

    def __init__(self) -> None:
        self.parses = self.writes = 0

    def taken(self) -> tuple[int, int]:
        """(parses, writes) since the last time."""
        found = self.parses, self.writes
        self.parses = self.writes = 0
        return found


@pytest.fixture
def counts() -> Iterator[Counts]:
    """Counts what happens to `grpc-lb.deadline.default`, whoever does it."""
    counted = Counts()
    (row,) = (row for row in TABLE if row.label == LABEL)
    kind = row.setting.kind
    read, write = kind.read, kind.write

    def counting(name: str, inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def counts_itself(value: Any) -> Any:
            setattr(counted, name, getattr(counted, name) + 1)
            return inner(value)

        return counts_itself

    object.__setattr__(kind, "read", counting("parses", read))
    object.__setattr__(kind, "write", counting("writes", write))
    yield counted
    object.__setattr__(kind, "read", read)
    object.__setattr__(kind, "write", write)


def registered(counts: Counts) -> Registration:
    reading = read_labels(
        {"grpc-lb.enable": "true", LABEL: "5s"}, mapped_ports=[50051], default_service="rng", family="rng"
    )
    assert not reading.errors
    assert reading.registration is not None
    return reading.registration


def test_a_label_is_parsed_once_by_the_lambda_and_written_once_into_the_document(counts: Counts) -> None:
    registration = registered(counts)
    assert counts.taken() == (1, 0)
    # WHEN the service is part of a document that is packed for SSM
    document = Document((Service(registration.service, (Route(),), policy=registration.policy),))
    packed = pack(document)
    assert counts.taken() == (0, 1)
    # AND a balancer reads it
    assert assemble(read_index(packed.index), packed.shards) == document
    assert counts.taken() == (1, 0)


def test_the_lambda_encodes_a_document_that_it_publishes_once(counts: Counts) -> None:
    registration = registered(counts)
    document = Document((Service(registration.service, (Route(),), policy=registration.policy),))
    store = ParameterStore(FakeAws().client("ssm"), "/lb")
    counts.taken()
    published = store.publish(document, Stored())
    assert (published.writes, counts.taken()) == (1, (0, 1))
    # WHEN the next refresh finds the same, or another service beside it, THEN it is not written again
    assert store.publish(document, published.stored).writes == 0
    assert counts.taken() == (0, 0)
    more = Document((*document.services, Service("other")))
    assert store.publish(more, published.stored).writes == 1
    assert counts.taken() == (0, 0)


async def test_the_balancer_works_out_its_routes_and_what_it_leaves_out_once_for_a_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    routes_made, worked_out = HostRoutes.__init__, capabilities.feasible

    def counted_routes(self: HostRoutes, document: Document) -> None:
        made.append("host routes")
        routes_made(self, document)

    def counted_feasible(document: Document, system_cas: Path | None) -> Any:
        made.append("feasible")
        return worked_out(document, system_cas)

    monkeypatch.setattr(HostRoutes, "__init__", counted_routes)
    monkeypatch.setattr(snapshot_maker, "feasible", counted_feasible)
    reconciler = Reconciler(SnapshotCache(), Ports("127.0.0.1", 1, 2), ControlPlaneState())
    await reconciler.found(Document((Service("rng", (Route(),)),)), Origin.FILE)
    await reconciler.close()
    assert sorted(made) == ["feasible", "host routes"]


@pytest.mark.parametrize(("routes", "parses"), [((), 0), ((RouteRule("reads", methods=("rng.v1.Rng/Get",)),), 1)])
def test_a_policy_given_to_a_construct_is_checked_written_and_built_once(
    counts: Counts, monkeypatch: pytest.MonkeyPatch, routes: tuple[RouteRule, ...], parses: int
) -> None:
    """GIVEN a policy as a prop of two ECS services of one name, THEN no setting is parsed again, but to read routes."""
    built: list[str] = []
    checked = Registration.__post_init__

    def counted(self: Registration) -> None:
        built.append(self.service)
        checked(self)

    monkeypatch.setattr(Registration, "__post_init__", counted)
    app = template_app()
    stack = cdk.Stack(app, "Stack")
    balancer = GrpcBalancer(stack, "Balancer", cluster=existing_cluster(stack))
    # WHEN the owner writes the policy, it is checked by its text, once
    policy = TrafficPolicy(deadline=Deadline(default=timedelta(seconds=5)))
    assert counts.taken() == (1, 1)
    for number in (1, 2):
        built.clear()
        balancer.add_service(
            f"Rng{number}", image=IMAGE, port=50051, service_name="rng", weight=50, policy=policy, routes=routes
        )
        # THEN it is written into the labels once, and one registration is built for each reading of it
        assert counts.taken() == (parses, 1)
        assert len(built) == 1 + parses
    app.synth()
    assert counts.taken() == (0, 0)
