"""What did not change is not made again, and what is served is as if it were."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import Deadline, Document, Group, Retry, RetryStatus, Service, TrafficPolicy
from proxy_image.control_plane.xds.envoy.listeners import Ports
from proxy_image.control_plane.xds.resource_types import Audience
from proxy_image.control_plane.xds.snapshot import Snapshot
from proxy_image.control_plane.xds.snapshot_maker import SnapshotMaker, snapshot
from tests.grpc_lb_contract.fleets import fleet
from tests.grpc_lb_contract.strategies import policies, routes
from tests.proxy_image.control_plane.support import target

PORTS = Ports("127.0.0.1", 1, 2)

VERIFIED = {"tls": "true", "tls.verify": "system", "tls.server-name": "a.test"}
_protocol: st.SearchStrategy[dict[str, str]] = st.builds(
    lambda mirror, percent, tls, web: {**mirror, **(percent if mirror else {}), **tls, **web},
    st.sampled_from([{}, *({"mirror.service": name} for name in ("one", "two", "three", "gone"))]),
    st.sampled_from([{}, {"mirror.percent": "5"}]),
    st.sampled_from([{}, {"tls": "true"}, VERIFIED, {"tls": "true", "tls.pin": "A" * 43 + "="}]),
    st.sampled_from([{}, {"web": "true"}, {"web": "true", "web.allow-origins": "*"}]),
)
"""What one service says and another one's resources are made of, which chance would seldom say."""

services = st.builds(
    lambda name, weight, ports, routes, policy: Service(
        name,
        tuple(routes),
        (Group("a", weight), Group("b")),
        tuple(target(port, zone=f"{port % 2}", draining=port % 3 == 0, group="ab"[port % 2]) for port in ports),
        policy,
    ),
    st.sampled_from(["one", "two", "three"]),
    st.sampled_from([1, 5]),
    st.lists(st.integers(1, 9), max_size=4, unique=True),
    st.lists(routes, max_size=2),
    st.just(TrafficPolicy()) | policies | _protocol.map(lambda texts: TrafficPolicy.from_settings(texts)[0]),
)
documents = st.lists(services, max_size=3, unique_by=lambda one: one.name).map(lambda of: Document(tuple(of)))


@given(st.lists(documents, max_size=4), st.sampled_from([None, Path("cas.pem")]))
def test_each_snapshot_is_as_if_it_were_the_first(generations: list[Document], cas: Path | None) -> None:
    maker = SnapshotMaker(PORTS, own_zone="1", system_cas=cas)
    for document in generations:
        assert maker.make(document) == snapshot(document, PORTS, own_zone="1", system_cas=cas)


def test_without_envoy_nothing_is_made_for_it() -> None:
    made = SnapshotMaker(PORTS, has_envoy=False).make(fleet(3))
    assert made.audiences == {Audience.GRPC: snapshot(fleet(3), PORTS).audiences[Audience.GRPC]}


def with_service(document: Document, service: Service) -> Document:
    return Document(tuple(service if each.name == service.name else each for each in document.services))


def asked_for_all(made: Snapshot) -> Snapshot:
    """What gRPC clients are sent is made once they ask for it."""
    for by_name in made.audiences[Audience.GRPC].by_type.values():
        assert all(by_name.values())
    return made


def made_anew(before: Snapshot, after: Snapshot) -> set[tuple[str, str, str]]:
    return {
        (audience.value, kind.value, name)
        for audience, resources in after.audiences.items()
        for kind, by_name in resources.by_type.items()
        for name in by_name
        if before.audiences[audience].by_type[kind].get(name) is not by_name[name]
    }


def of(name: str, of_clients: set[str]) -> set[tuple[str, str, str]]:
    envoy = {("envoy", kind, name) for kind in ("CDS", "EDS")}
    return envoy | {("grpc", kind, name) for kind in of_clients}


def test_a_change_of_one_target_makes_anew_only_what_is_of_its_service() -> None:
    maker, document = SnapshotMaker(PORTS), fleet(40, services=10)
    before = asked_for_all(maker.make(document))
    changed = document.services[3]
    smaller = replace(changed, targets=changed.targets[1:])
    assert made_anew(before, maker.make(with_service(document, smaller))) == of(changed.name, {"EDS"})


def test_a_change_of_one_policy_makes_anew_the_routes_too() -> None:
    maker, document = SnapshotMaker(PORTS), fleet(40, services=10)
    before = asked_for_all(maker.make(document))
    policy = TrafficPolicy(
        deadline=Deadline(default=timedelta(seconds=1)), retry=Retry(on=frozenset({RetryStatus.UNAVAILABLE}))
    )
    changed = replace(document.services[3], policy=policy)
    after = maker.make(with_service(document, changed))
    assert made_anew(before, after) == of(changed.name, {"CDS", "EDS", "RDS"}) | {("envoy", "RDS", "calls")}


def test_a_service_that_is_gone_is_forgotten() -> None:
    maker, document = SnapshotMaker(PORTS), fleet(40, services=10)
    maker.make(document)
    rest = Document(document.services[1:])
    assert maker.make(rest) == snapshot(rest, PORTS)
    assert document.services[0].name not in maker._parts
