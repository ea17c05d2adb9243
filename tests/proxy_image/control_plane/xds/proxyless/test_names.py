"""Names that clients call, `xds:///NAME`: those that are there in each form, and those that are not."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote_plus

import pytest

from grpc_lb_contract import Document, Route
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from proxy_image.control_plane.xds.proxyless.client_resources import MAX_REMEMBERED_LENGTH
from proxy_image.control_plane.xds.proxyless.names import Name, read_name, unknown
from proxy_image.control_plane.xds.resource_types import ResourceType
from tests.proxy_image.control_plane.support import backends, control_plane, service, settings_for, target
from tests.proxy_image.control_plane.xds.proxyless.conftest import OpenClient
from tests.proxy_image.control_plane.xds.proxyless.harness import LANGUAGES, bootstrap, client_process

languages = pytest.mark.parametrize("language", LANGUAGES)
MANY_TIMES = 100
"""As long as the first call of a client, which connects to the control plane and asks it for all it has."""
FLEET = Document(
    (service("numbers", target(1), routes=[Route("numbers.test")]), service("orders", target(2), routes=[Route()]))
)


@languages
async def test_an_unknown_name_fails_at_once_and_says_what_there_is(open_client: OpenClient) -> None:
    async with open_client(authorities={"elsewhere": {}}) as (client, plane):
        await plane.serve(FLEET)
        known = await client.calls(1, name="numbers", wait_for_ready=False)
        for name in ("nubmers", "orders.test", "nubmers:50051", "xds://elsewhere/nubmers"):
            outcome = await client.calls(1, name=name, wait_for_ready=False)
            answer = unquote_plus(*outcome.answers)
            called = name.removeprefix("xds://elsewhere/")
            assert answer.startswith("UNAVAILABLE: ")
            assert f"unknown name {called}" in answer.replace("'", "")
            assert "numbers, orders, numbers.test" in answer
            # Clients wait 15 s for a name that nobody answers for.
            assert outcome.seconds[0] < MANY_TIMES * known.seconds[0]


@languages
async def test_an_odd_name_is_unknown_and_the_clients_other_names_do_not_suffer(open_client: OpenClient) -> None:
    odd = (
        "n" * 600,
        "nümbers",
        "num bers",
        'num"bers',
        "a/b/c",
        "[::1]:50051",
        "unknown name 'x'",
        "Numbers",
        "numbers:x",
    )
    async with backends("a") as (a,), open_client(authorities={"elsewhere": {}}) as (client, plane):
        await plane.serve(Document((service("numbers", a.target),)))
        for name in (*odd, *(f"xds://elsewhere/{name}" for name in ("nümbers", "num bers", "n" * 600))):
            outcome = await client.calls(1, name=name, wait_for_ready=False)
            assert "unknown name " in unquote_plus(*outcome.answers), name
        assert await client.who(3, name="numbers") == {"a": 3}


@languages
async def test_a_name_may_have_a_port_or_an_authority(open_client: OpenClient) -> None:
    async with backends("a") as (a,), open_client(authorities={"elsewhere": {}}) as (client, plane):
        await plane.serve(Document((service("numbers", a.target, routes=[Route("numbers.test")]),)))
        for name in (
            "numbers",
            "numbers:50051",
            "numbers.test",
            "numbers.test:443",
            "NUMBERS.test.",
            "xds://elsewhere/numbers:1",
        ):
            assert await client.who(3, name=name) == {"a": 3}, name


async def test_an_authority_with_servers_of_its_own_is_served_all_that_it_leads_to(tmp_path: Path) -> None:
    """GIVEN a bootstrap whose other servers are not there THEN a name with the authority needs nothing from them."""

    async with (
        backends("a") as (a,),
        control_plane(settings_for(tmp_path)) as plane,
        AdsServer(AdsService(plane.cache, plane.state, plane.state.clients), "127.0.0.1:0") as server,
    ):
        await plane.serve(Document((service("numbers", a.target),)))
        here, nowhere = bootstrap(server.port), bootstrap(1)
        config = {**nowhere, "authorities": {"here": {"xds_servers": here["xds_servers"]}}}
        async with client_process("Python", "xds://here/numbers", config) as client:
            assert await client.who(3) == {"a": 3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numbers", Name("numbers")),
        ("xdstp://a/envoy.config.listener.v3.Listener/numbers%3A1", Name("numbers:1", "a")),
        ("xdstp://a/envoy.config.listener.v3.Listener/numbers?x=1#y", Name("numbers", "a")),
        ("xdstp://a/envoy.config.cluster.v3.Cluster/numbers", None),
        ("xdstp://a", None),
        ("grpc/server?xds.resource.listening_address=0.0.0.0:1", None),
        ("", None),
    ],
)
def test_a_listeners_name_is_read(text: str, expected: Name | None) -> None:
    assert read_name(ResourceType.LISTENER, text) == expected


def test_what_a_name_leads_to_keeps_its_authority() -> None:
    name = Name("numbers", "a")
    full = name.of(ResourceType.CLUSTER, "with space/slash")
    assert full == "xdstp://a/envoy.config.cluster.v3.Cluster/with%20space%2Fslash"
    assert read_name(ResourceType.CLUSTER, full) == Name("with space/slash", "a")


def test_of_many_names_some_are_said() -> None:
    sentence = unknown("x" * 300, (f"service-{number}" for number in range(500)), ())
    assert "service-0, service-1," in sentence
    assert sentence.endswith(" more")
    assert len(Name(sentence, "a" * 60).of(ResourceType.CLUSTER, sentence)) < MAX_REMEMBERED_LENGTH
