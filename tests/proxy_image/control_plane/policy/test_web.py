"""gRPC-Web: what browsers ask and get, and what of other requests never reaches a target."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from grpc_lb_contract import Condition, Deadline, Document, Fault, Match, RateLimit, Route, Status, TrafficPolicy, Web
from proxy_image.control_plane.xds.envoy.grpc_web import REFUSAL
from proxy_image.control_plane.xds.envoy.replies import NO_CONNECT
from proxy_image.control_plane.xds.envoy.routes import NO_ROUTE
from tests.proxy_image.control_plane.calls import reads
from tests.proxy_image.control_plane.grpc_web import (
    ALLOWED,
    client,
    frame,
    messages_of,
    post,
    preflight,
    status_of,
    web,
    web_and_plain,
)
from tests.proxy_image.control_plane.support import (
    STREAM,
    WHO,
    Backend,
    ControlPlane,
    Envoy,
    backends,
    balancer,
    eventually,
    service,
    who,
)

OTHER = "http://other.test:8000"
PLAIN = "/plain.Plain/Any"


Served = tuple[Backend, Backend, Envoy, ControlPlane]


@asynccontextmanager
async def a_service_for_browsers_and_one_that_is_not(state_dir: Path) -> AsyncIterator[Served]:
    async with backends("a", "plain") as (a, plain):
        settings = Web(
            enabled=True,
            allow_origins=frozenset({ALLOWED}),
            allow_headers=frozenset({"authorization", "x-tenant"}),
            expose_headers=frozenset({"x-cost"}),
            max_age=timedelta(minutes=5),
        )
        async with balancer(state_dir, web_and_plain(a, plain, settings)) as (plane, envoy):
            yield a, plain, envoy, plane


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with a_service_for_browsers_and_one_that_is_not(tmp_path) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def untouched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One for all tests of whose requests none may reach a target."""
    async with a_service_for_browsers_and_one_that_is_not(tmp_path_factory.mktemp("untouched")) as made:
        yield made


sharing = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("http2", [False, True])
async def test_a_page_of_an_allowed_origin_calls_and_reads_the_answer_and_its_status(
    served: Served, http2: bool
) -> None:
    a, _, envoy, _ = served
    async with client(envoy, http2=http2) as browser:
        answer = await post(browser, WHO, origin=ALLOWED, **{"x-tenant": "acme"})
        assert (messages_of(answer), status_of(answer)) == ([b"a"], "0")
        assert answer.headers["content-type"] == "application/grpc-web+proto"
        assert answer.headers["access-control-allow-origin"] == ALLOWED
        readable = set(answer.headers["access-control-expose-headers"].split(","))
        assert readable == {"grpc-status", "grpc-message", "grpc-status-details-bin", "x-cost"}
        assert a.metadata[0]["x-tenant"] == "acme"
        a.abort = grpc.StatusCode.NOT_FOUND
        failed = await post(browser, WHO, origin=ALLOWED)
        assert (status_of(failed), failed.headers["grpc-message"]) == ("5", "as the test wants")


async def test_a_stream_comes_message_by_message(served: Served) -> None:
    a, _, envoy, _ = served
    headers = {"content-type": "application/grpc-web+proto"}
    async with client(envoy) as browser, browser.stream("POST", STREAM, content=frame(b""), headers=headers) as answer:
        parts = answer.aiter_bytes()
        assert await anext(parts) == frame(b"a")
        a.release.set()
        assert b"".join([part async for part in parts]).startswith(frame(b"end"))


async def test_the_form_of_old_browsers_in_base64_is_taken_too(served: Served) -> None:
    _, _, envoy, _ = served
    async with client(envoy) as browser:
        headers = {"content-type": "application/grpc-web-text", "accept": "application/grpc-web-text"}
        answer = await browser.post(WHO, content=base64.b64encode(frame(b"")), headers=headers)
        assert base64.b64decode(answer.content.split(b"=")[0] + b"==").startswith(frame(b"a"))


@sharing
@pytest.mark.parametrize("http2", [False, True])
async def test_a_preflight_is_answered_by_the_balancer_and_says_what_is_allowed(untouched: Served, http2: bool) -> None:
    _, _, envoy, _ = untouched
    async with client(envoy, http2=http2) as browser:
        allowed = await preflight(browser, WHO, ALLOWED, "x-tenant")
        assert allowed.headers["access-control-allow-origin"] == ALLOWED
        assert allowed.headers["access-control-allow-methods"] == "POST"
        assert allowed.headers["access-control-max-age"] == "300"
        sent = set(allowed.headers["access-control-allow-headers"].split(","))
        assert sent == {"authorization", "content-type", "grpc-timeout", "x-grpc-web", "x-tenant", "x-user-agent"}
        for origin in (OTHER, "http://app.test", f"{ALLOWED}.other.test", "null"):
            refused = await preflight(browser, WHO, origin)
            assert "access-control-allow-origin" not in refused.headers, origin
    assert await envoy.stat("cluster.all.upstream_rq_total") == 0


async def test_any_origin_is_allowed_where_the_owner_says_so(served: Served) -> None:
    a, plain, envoy, plane = served
    await plane.serve(web_and_plain(a, plain, Web(enabled=True, allow_origins=frozenset({"*"}))))
    async with client(envoy) as browser:

        async def allowed() -> bool:
            answer = await preflight(browser, WHO, OTHER)
            return answer.headers.get("access-control-allow-origin") in ("*", OTHER)

        await eventually(allowed)


@sharing
@pytest.mark.parametrize("http2", [False, True])
async def test_a_service_without_the_label_gets_no_request_of_a_browser(untouched: Served, http2: bool) -> None:
    """Nor does the service that takes all other calls of that host."""
    a, plain, envoy, _ = untouched
    async with client(envoy, http2=http2) as browser:
        types = ("application/grpc-web+proto", "application/grpc-web-text", "application/json", "text/html")
        calls = [await post(browser, PLAIN, content_type, origin=ALLOWED) for content_type in types]
        for answer in (*calls, await preflight(browser, PLAIN, ALLOWED)):
            assert (answer.status_code, answer.text) == (415, REFUSAL)
            assert "access-control-allow-origin" not in answer.headers
    assert not a.seen
    assert not plain.seen
    assert await envoy.stat("cluster.plain.upstream_rq_total") == await envoy.stat("cluster.all.upstream_rq_total") == 0


@sharing
async def test_http_1_is_for_grpc_web_alone_whatever_a_request_calls_itself(untouched: Served) -> None:
    a, plain, envoy, _ = untouched
    async with client(envoy) as other:
        for path in (WHO, PLAIN):
            as_grpc = await post(other, path, "application/grpc", te="trailers")
            assert as_grpc.headers["grpc-message"] == REFUSAL
            asking = {"origin": ALLOWED, "access-control-request-method": "POST"}
            headers = {"content-type": "application/grpc", **asking}
            as_preflight = await other.options(path, headers=headers)
            assert as_preflight.headers["grpc-message"] == REFUSAL
            as_http = (await post(other, path, "application/json"), await other.get(path), await other.options(path))
            for answer in as_http:
                assert (answer.status_code, answer.text) == (415, REFUSAL)
    assert not a.seen
    assert not plain.seen
    assert await envoy.stat("cluster.plain.upstream_rq_total") == await envoy.stat("cluster.all.upstream_rq_total") == 0


@sharing
@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("content_type", ["application/grpc-web+json", "application/grpc-webs", "application/grpcs"])
async def test_what_only_begins_as_grpc_web_does_reaches_no_target(
    untouched: Served, content_type: str, http2: bool
) -> None:
    """Envoy would hand it on as it is: the server resets it, and is ejected for that where its owner asks for it."""
    _, _, envoy, _ = untouched
    async with client(envoy, http2=http2) as browser:
        answer = await post(browser, WHO, content_type, origin=ALLOWED)
        assert (answer.status_code, answer.text) in ((415, REFUSAL), (404, NO_ROUTE))
    assert await envoy.stat("cluster.all.upstream_rq_total") == 0


@sharing
@pytest.mark.parametrize("http2", [False, True])
async def test_a_client_of_the_connect_protocol_reads_which_transport_to_use(untouched: Served, http2: bool) -> None:
    _, _, envoy, _ = untouched
    async with client(envoy, http2=http2) as caller:
        for path in (WHO, PLAIN):
            for content_type in ("application/json", "application/proto"):
                answer = await post(caller, path, content_type, **{"connect-protocol-version": "1"})
                assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
                assert answer.json() == {"code": "unimplemented", "message": NO_CONNECT}


async def test_where_no_service_has_the_label_nothing_but_grpc_reaches_a_target(tmp_path: Path) -> None:
    async with backends("a") as (a,), balancer(tmp_path, Document((service("all", a.target),))) as (_, envoy):
        for http2 in (False, True):
            async with client(envoy, http2=http2) as browser:
                answer = await post(browser, WHO)
                assert answer.status_code == 404
                assert "grpc-lb.web" in answer.text
                assert (await preflight(browser, WHO, ALLOWED)).status_code == 404
        async with envoy.channel() as channel:
            assert await who(channel, 3) == {"a": 3}
        assert await envoy.stat("cluster.all.upstream_rq_total") == 3


async def test_grpc_goes_on_beside_it_and_by_the_way_it_went_before(served: Served) -> None:
    _, _, envoy, _ = served
    async with client(envoy) as browser, envoy.channel() as channel:
        assert await who(channel, 5) == {"a": 5}
        assert status_of(await post(browser, WHO)) == "0"
        assert await envoy.stat("http.calls.downstream_cx_http2_total") == 1
        assert await envoy.stat("http.calls.downstream_cx_http1_total") == 1


async def test_what_the_balancer_itself_answers_is_a_grpc_status_that_the_page_may_read(tmp_path: Path) -> None:
    allowed = TrafficPolicy(web=Web(enabled=True, allow_origins=frozenset({ALLOWED})))
    in_time = replace(allowed, deadline=Deadline(max=timedelta(milliseconds=100)))
    async with backends("a", "held") as (a, held):
        held.hold = True
        document = Document(
            (
                web(service("none", routes=[Route("none.test")]), allowed),
                web(
                    # With a rate limit, it is Envoy that keeps the deadline.
                    service("late", held.target, routes=[Route("late.test")]),
                    replace(in_time, rate_limit=RateLimit(calls_per_second=1_000)),
                ),
                web(
                    service("slow", a.target, routes=[Route("slow.test")]),
                    replace(allowed, rate_limit=RateLimit(calls_per_second=1)),
                ),
                web(
                    service("faulty", a.target, routes=[Route("faulty.test")]),
                    replace(allowed, fault=Fault(abort=Status.PERMISSION_DENIED)),
                ),
            )
        )
        async with balancer(tmp_path, document) as (_, envoy), client(envoy) as browser:

            async def answers(host: str, *statuses: str) -> bool:
                answer = await post(browser, WHO, origin=ALLOWED, host=host)
                assert answer.headers["access-control-allow-origin"] == ALLOWED
                assert status_of(answer) in statuses, (answer.headers, answer.content)
                return status_of(answer) == statuses[-1]

            assert await answers("none.test", "14")
            assert await answers("late.test", "4")
            # Envoy takes the request for no gRPC call when it answers in the server's place: it maps the HTTP status.
            assert await answers("faulty.test", "2")
            await eventually(lambda: answers("slow.test", "0", "8"))

            # AND a gRPC client that Envoy does not know as one gets what it makes UNAVAILABLE of, with a content type
            async with client(envoy, http2=True) as caller:

                async def is_refused_as_http() -> bool:
                    answer = await post(caller, WHO, "application/grpc;charset=utf-8", host="slow.test")
                    return (answer.status_code, answer.headers.get("content-type")) == (429, "text/plain")

                await eventually(is_refused_as_http)


async def test_a_preflight_has_none_of_the_calls_metadata_and_is_answered_all_the_same(tmp_path: Path) -> None:
    """GIVEN a service for browsers that takes only calls with a key THEN its preflights, which lack it, are its own."""
    async with backends("a", "plain") as (a, plain):
        canary = Condition("x-canary", Match.EXACT, "yes")
        allowed = TrafficPolicy(web=Web(enabled=True, allow_origins=frozenset({ALLOWED})))
        document = Document(
            (
                web(service("canary", a.target, routes=[Route("*", "test.Test", (canary,))]), allowed),
                service("plain", plain.target),
            )
        )
        async with balancer(tmp_path, document) as (_, envoy), client(envoy) as browser:
            answer = await preflight(browser, WHO, ALLOWED, "x-canary")
            assert answer.headers["access-control-allow-origin"] == ALLOWED
            assert status_of(await post(browser, WHO, **{"x-canary": "yes"})) == "0"
            assert (await post(browser, WHO)).status_code == 415


async def test_a_service_that_takes_the_calls_without_a_key_answers_no_preflight_of_those_with_it(
    tmp_path: Path,
) -> None:
    async with backends("a", "plain") as (a, plain):
        canary, others = (Condition("x-canary", match, "yes") for match in (Match.EXACT, Match.NOT_EXACT))
        allowed = TrafficPolicy(web=Web(enabled=True, allow_origins=frozenset({ALLOWED})))
        document = Document(
            (
                web(service("browsers", a.target, routes=[Route(metadata=(canary,))]), allowed),
                service("plain", plain.target, routes=[Route(metadata=(others,))]),
            )
        )
        async with balancer(tmp_path, document) as (_, envoy), client(envoy) as browser:
            answer = await preflight(browser, WHO, ALLOWED, "x-canary")
            assert answer.headers.get("access-control-allow-origin") == ALLOWED
            assert status_of(await post(browser, WHO, **{"x-canary": "yes"})) == "0"
            assert (await post(browser, WHO)).status_code == 415


@sharing
async def test_a_connection_that_says_nothing_yet_stays(untouched: Served) -> None:
    """Its protocol is not known before it speaks. Envoy's own would close it after 15 s."""
    _, _, envoy, _ = untouched
    with socket.create_connection(("127.0.0.1", envoy.settings.port)):
        dump = (await envoy.admin("/config_dump?resource=dynamic_listeners")).text
        assert '"continue_on_listener_filters_timeout": true' in dump
        await eventually(lambda: reads(envoy.stat("listener.calls.downstream_pre_cx_active"), 1))


async def test_logs_and_statistics_know_the_status_that_the_page_got(tmp_path: Path) -> None:
    """Although the trailers are in the body; and a preflight is no call."""
    async with (
        backends("a", "plain") as (a, plain),
        balancer(
            tmp_path, web_and_plain(a, plain), GRPC_LB_ACCESS_LOG="failures", GRPC_LB_CALL_STATISTICS="services"
        ) as (_, envoy),
    ):
        for http2 in (False, True):
            async with client(envoy, http2=http2) as browser:
                assert status_of(await post(browser, WHO)) == "0"
                await preflight(browser, WHO, ALLOWED)
                assert status_of(await post(browser, f"{WHO}Else")) == "12"

        def failures() -> list[str]:
            lines = [line for line in envoy.log.read_text().splitlines() if '"call"' in line]
            return [json.loads(line)["grpc_status"] for line in lines]

        await eventually(lambda: failures() == ["UNIMPLEMENTED"] * 2, "two failures in the log")
        counted = (await envoy.admin("/stats?usedonly&filter=grpc_lb_calls.ended.service.all")).text.splitlines()
        assert sorted(line.rpartition(".")[2] for line in counted) == ["0: 2", "12: 2"]
