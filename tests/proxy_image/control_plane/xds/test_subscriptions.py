"""The protocol's rules, one by one, without a network."""

from __future__ import annotations

import pytest

from grpc_lb_contract import Document, Route
from proxy_image.control_plane.xds.envoy.listeners import Ports
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType
from proxy_image.control_plane.xds.snapshot import Resources
from proxy_image.control_plane.xds.snapshot_maker import snapshot
from proxy_image.control_plane.xds.subscriptions import Meaning, Request, Response, Subscriptions
from tests.proxy_image.control_plane.support import service, target

PORTS = Ports("127.0.0.1", 1, 2)
CDS, EDS, LDS, RDS = ResourceType


def resources(**ports: int) -> Resources:
    """Resources of services by name, each with one target on a port."""
    services = tuple(service(name, target(port), routes=(Route(name),)) for name, port in ports.items())
    return snapshot(Document(services), PORTS).audiences[Audience.ENVOY]


class Client:
    """A client that does as it should: it asks, and accepts all it is sent."""

    def __init__(self) -> None:
        self.state = Subscriptions()
        self.nonces: dict[ResourceType, str] = {}

    def ask(self, kind: ResourceType, *names: str, error: str | None = None, nonce: str | None = None) -> Meaning:
        used = self.nonces.get(kind, "") if nonce is None else nonce
        return self.state.receive(Request(kind.url, names, used, "v", error))

    def gets(self, there: Resources) -> list[Response]:
        responses = self.state.due(there)
        self.nonces.update({response.type: response.nonce for response in responses})
        return responses

    def accepts(self, responses: list[Response]) -> None:
        for response in responses:
            request = Request(response.type.url, tuple(self.state.names(response.type)), response.nonce)
            assert self.state.receive(request) is Meaning.ACK

    def gets_in_the_end(self, there: Resources) -> list[Response]:
        """All that is sent until nothing is due, each step accepted."""
        responses: list[Response] = []
        while step := self.gets(there):
            self.accepts(step)
            responses += step
        return responses


def names(responses: list[Response]) -> list[tuple[str, list[str]]]:
    return [(response.type.value, [resource.name for resource in response.resources]) for response in responses]


def connected(there: Resources, *endpoint_names: str) -> Client:
    """A client as Envoy is one, which has accepted everything."""
    client = Client()
    client.ask(CDS)
    client.gets_in_the_end(there)
    client.ask(EDS, *endpoint_names)
    client.gets_in_the_end(there)
    client.ask(LDS)
    client.gets_in_the_end(there)
    client.ask(RDS, "calls")
    client.gets_in_the_end(there)
    return client


def test_a_first_request_without_names_gets_all_clusters() -> None:
    client = Client()
    client.ask(CDS)
    assert names(client.gets(resources(a=1, b=2))) == [("CDS", ["a", "b"])]


def test_the_first_answer_comes_even_where_there_is_nothing() -> None:
    client = Client()
    client.ask(CDS)
    assert names(client.gets(resources())) == [("CDS", [])]


def test_an_accepted_answer_is_not_sent_again() -> None:
    client = connected(resources(a=1), "a")
    assert client.gets(resources(a=1)) == []


def test_nothing_is_sent_before_the_client_asks() -> None:
    assert Client().gets(resources(a=1)) == []


def test_of_endpoints_only_the_changed_ones_are_sent() -> None:
    client = connected(resources(a=1, b=2, c=3), "a", "b", "c")
    assert names(client.gets(resources(a=1, b=9, c=3))) == [("EDS", ["b"])]


def test_endpoints_that_are_not_subscribed_are_not_sent() -> None:
    client = connected(resources(a=1, b=2), "a")
    assert client.gets(resources(a=1, b=9)) == []


def test_of_clusters_all_are_sent_when_one_comes() -> None:
    client = connected(resources(a=1), "a")
    assert names(client.gets(resources(a=1, b=2)))[0] == ("CDS", ["a", "b"])


def test_what_comes_is_made_before_routes_lead_to_it() -> None:
    client = connected(resources(a=1), "a")
    client.ask(EDS, "a", "b")
    assert [kind for kind, _ in names(client.gets_in_the_end(resources(a=1, b=2)))] == ["CDS", "EDS", "RDS"]


def test_routes_wait_until_the_client_has_accepted_what_they_lead_to() -> None:
    there = resources(a=1, b=2)
    client = connected(resources(a=1), "a")
    assert names(client.gets(there)) == [("CDS", ["a", "b"])]
    client.ask(EDS, "a", "b")
    assert names(client.gets(there)) == [("EDS", ["b"])], "Envoy accepts the clusters only once they have endpoints"
    client.ask(EDS, "a", "b")
    assert client.gets(there) == [], "the clusters are not accepted yet"
    client.ask(CDS)
    assert names(client.gets(there)) == [("RDS", ["calls"])]


def test_clusters_stay_while_the_client_rejects_the_routes_without_them() -> None:
    client = connected(resources(a=1, b=2), "a", "b")
    client.gets(resources(a=1))
    client.ask(RDS, "calls", error="no")
    assert client.gets(resources(a=1)) == []


def test_what_goes_is_broken_after_routes_lead_elsewhere() -> None:
    client = connected(resources(a=1, b=2), "a", "b")
    assert names(client.gets_in_the_end(resources(a=1))) == [("RDS", ["calls"]), ("CDS", ["a"])]


def test_of_two_services_that_trade_places_each_is_there_while_routes_lead_to_it() -> None:
    client = connected(resources(a=1), "a")
    steps = names(client.gets_in_the_end(resources(b=2)))
    assert steps == [("CDS", ["b", "a"]), ("RDS", ["calls"]), ("CDS", ["b"])]


def test_a_rejected_answer_is_not_sent_again_until_there_is_a_better_one() -> None:
    client = connected(resources(a=1), "a")
    client.gets(resources(a=2))
    assert client.ask(EDS, "a", error="bad port") is Meaning.NACK
    assert client.gets(resources(a=2)) == []
    assert names(client.gets(resources(a=3))) == [("EDS", ["a"])]


def test_after_a_rejection_the_version_before_is_a_better_one_too() -> None:
    client = connected(resources(a=1), "a")
    client.gets(resources(a=2))
    client.ask(EDS, "a", error="bad port")
    assert names(client.gets(resources(a=1))) == [("EDS", ["a"])]


def test_a_request_that_crossed_with_a_later_answer_does_not_accept_it() -> None:
    one, two = resources(a=1), resources(a=2)
    client = connected(one, "a")
    old = client.nonces[EDS]
    later = client.gets(two)
    assert client.ask(EDS, "a", nonce=old) is Meaning.STALE
    assert not client.state.is_in_use(two)
    client.accepts(later)
    client.gets_in_the_end(two)
    assert client.state.is_in_use(two)


def test_what_crossed_with_a_later_answer_and_asks_for_nothing_else_has_nothing_sent_again() -> None:
    """Envoy asks so for the endpoints of a changed cluster, which have been sent with it: of 500, the others stay."""
    client = connected(resources(a=1), "a")
    old = client.nonces[EDS]
    client.gets(resources(a=2))
    first = client.nonces[EDS]
    client.gets(resources(a=3))
    for nonce in (old, first):
        assert client.ask(EDS, "a", nonce=nonce) is Meaning.STALE
    assert client.gets(resources(a=3)) == []


def test_who_drops_all_endpoints_and_never_answers_is_sent_routes_all_the_same() -> None:
    client = connected(resources(a=1), "a")
    old = client.nonces[EDS]
    client.gets(resources(a=7))
    client.ask(EDS, nonce=old)
    client.accepts(client.gets(resources(a=7, b=2)))
    assert ("RDS", ["calls"]) in names(client.gets(resources(a=7, b=2)))


def test_what_a_client_asks_for_as_a_later_answer_crosses_is_sent() -> None:
    client = connected(resources(a=1, b=2), "a")
    old = client.nonces[EDS]
    client.gets(resources(a=7, b=2))
    assert client.ask(EDS, "a", "b", nonce=old) is Meaning.STALE
    assert names(client.gets(resources(a=7, b=2))) == [("EDS", ["b"])]


def test_who_unsubscribes_and_subscribes_again_as_a_later_answer_crosses_is_sent_what_did_not_change() -> None:
    # GIVEN a client that is sent other endpoints
    client = connected(resources(a=1, b=2), "a", "b")
    old = client.nonces[EDS]
    later = client.gets(resources(a=7, b=2))
    # WHEN it drops b meanwhile, and asks for it again
    for wanted in (("a",), ("a", "b")):
        assert client.ask(EDS, *wanted, nonce=old) is Meaning.STALE
    client.accepts(later)
    # THEN it does not wait for b, as long as b stays as it is
    assert names(client.gets(resources(a=7, b=2))) == [("EDS", ["b"])]


def test_who_unsubscribes_and_subscribes_again_is_sent_what_did_not_change() -> None:
    client = connected(resources(a=1, b=2), "a", "b")
    client.ask(EDS, "a")
    assert client.gets(resources(a=1, b=2)) == []
    client.ask(EDS, "a", "b")
    assert names(client.gets(resources(a=1, b=2))) == [("EDS", ["b"])]


def test_who_unsubscribes_from_all_and_subscribes_again_is_sent_what_did_not_change() -> None:
    client = connected(resources(a=1), "a")
    client.ask(EDS)
    client.ask(EDS, "a")
    assert names(client.gets(resources(a=1))) == [("EDS", ["a"])]


def test_who_asks_twice_for_the_same_waits_for_it() -> None:
    """Envoy does so when it replaces a cluster: both its requests became one."""
    client = connected(resources(a=1), "a")
    assert client.ask(EDS, "a") is Meaning.SUBSCRIPTION
    answer = client.gets(resources(a=1))
    assert names(answer) == [("EDS", ["a"])]
    client.accepts(answer)
    assert client.gets(resources(a=1)) == []


def test_names_once_given_and_then_left_out_stand_for_none_and_not_for_all() -> None:
    client = Client()
    client.ask(CDS, "a")
    client.gets(resources(a=1, b=2))
    client.ask(CDS)
    assert client.gets(resources(a=1, b=9)) == []


def test_a_star_stands_for_all_at_any_time() -> None:
    client = Client()
    client.ask(CDS, "a")
    client.gets(resources(a=1, b=2))
    client.ask(CDS, "a", "*")
    assert names(client.gets(resources(a=1, b=2))) == [("CDS", ["a", "b"])]


def test_who_names_a_cluster_that_is_not_there_is_told_so() -> None:
    client = Client()
    client.ask(CDS, "a")
    client.gets(resources(a=1))
    client.ask(CDS, "a", "missing")
    assert names(client.gets(resources(a=1))) == [("CDS", ["a"])]


def test_endpoints_that_are_not_there_yet_are_sent_when_they_come() -> None:
    client = connected(resources(a=1), "a", "b")
    assert ("EDS", ["b"]) in names(client.gets_in_the_end(resources(a=1, b=2)))


def test_a_first_request_with_the_version_of_an_earlier_stream_gets_everything() -> None:
    before = connected(resources(a=1), "a")
    again = Client()
    assert again.ask(EDS, "a", nonce=before.nonces[EDS]) is Meaning.SUBSCRIPTION
    assert names(again.gets(resources(a=1))) == [("EDS", ["a"])]


def test_a_changed_cluster_is_followed_by_its_endpoints_although_they_did_not_change() -> None:
    both = resources(a=1, b=2)
    client = connected(both, "a", "b")
    changed = {
        **both.by_type,
        CDS: {**both.by_type[CDS], "a": both.by_type[CDS]["b"]},
    }
    assert names(client.gets_in_the_end(Resources(changed))) == [("CDS", ["b", "b"]), ("EDS", ["a"])]


def test_an_unknown_type_has_no_answer() -> None:
    client = Client()
    assert client.state.receive(Request("type.googleapis.com/some.Thing")) is Meaning.UNKNOWN_TYPE
    assert client.gets(resources(a=1)) == []


@pytest.mark.parametrize("kind", list(ResourceType))
def test_equal_content_has_an_equal_version(kind: ResourceType) -> None:
    assert resources(a=1).version(kind) == resources(a=1).version(kind)


def test_a_generation_is_in_use_when_all_of_it_is_accepted() -> None:
    one, two = resources(a=1), resources(a=1, b=2)
    client = connected(one, "a")
    assert client.state.is_in_use(one)
    # A new service's cluster, then its endpoints, then the routes to it
    assert not client.state.is_in_use(two)
    client.accepts(client.gets(two))
    client.ask(EDS, "a", "b")
    assert not client.state.is_in_use(two)
    client.gets_in_the_end(two)
    assert client.state.is_in_use(two)
    assert not client.state.is_in_use(one)


def test_what_a_client_has_not_asked_for_or_rejects_is_not_in_use() -> None:
    there = resources(a=1)
    assert not Client().state.is_in_use(there)
    client = connected(there, "a")
    newer = resources(a=7)
    client.gets(newer)
    assert client.ask(EDS, "a", error="no") is Meaning.NACK
    assert not client.state.is_in_use(newer)
