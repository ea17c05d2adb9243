"""The page without a browser: what it says, that it is safe, and that it stays live."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from grpc_lb_contract import (
    Balancing,
    Cause,
    CauseKind,
    Diagnostics,
    Document,
    Fault,
    Limits,
    Method,
    Mirror,
    RejectedLabel,
    Route,
    Service,
    ShadowedRoute,
    Status,
    TargetState,
    TaskChange,
    TrafficPolicy,
)
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.report.report import Report
from proxy_image.control_plane.sources.sink import Origin, Trouble
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.stats.envoy_stats import Reading, ServiceCounts, TargetCounts
from proxy_image.control_plane.stats.watcher import EnvoyStatistics, Watcher
from proxy_image.control_plane.web.app import web_app
from proxy_image.control_plane.web.current_report import current_report
from proxy_image.control_plane.web.page import live as live_pages
from proxy_image.control_plane.web.page import views
from proxy_image.control_plane.web.page.frame import whole_page
from proxy_image.control_plane.web.page.markup import joined, tag
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.envoy.listeners import Ports
from proxy_image.control_plane.xds.proxyless.client_kind import ClientKind, Language
from proxy_image.control_plane.xds.proxyless.unsupported_settings import Unfollowed
from proxy_image.control_plane.xds.resource_types import Audience
from proxy_image.envoy.bootstrap import Node
from tests.proxy_image.control_plane.policies import weighed
from tests.proxy_image.control_plane.support import backends, eventually, rng, running_envoy, service, target, who
from tests.proxy_image.control_plane.test_process import file_settings, running, targets_file
from tests.waiting import PATIENCE_SECONDS

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;\n\x00</td>"
OWN = Node("balancer-1", "main", "z-a")
MADE_HERE = (
    "html head meta title link script body a header strong small nav span main h1 h2 h3 p dl div dt dd section table "
    "caption thead tbody tr th td svg rect path figure figcaption ul ol li time code b footer"
)


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.names.append(name)
        self.attributes += [(key, value or "") for key, value in attributes]


def made_hostile(value: Any) -> Any:
    """The same data with hostile text wherever there is text."""
    if isinstance(value, str):
        return HOSTILE if type(value) is str else value
    if isinstance(value, tuple):
        return tuple(made_hostile(each) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {field.name: made_hostile(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **changed)
    return value


@dataclasses.dataclass
class Parts:
    reconciler: Reconciler
    state: ControlPlaneState
    watcher: Watcher
    client: httpx.AsyncClient

    @property
    def report(self) -> Report:
        return current_report(self.reconciler, self.state, self.watcher, OWN)


@asynccontextmanager
async def app(tmp_path: Path, document: Document | None) -> AsyncIterator[Parts]:
    state = ControlPlaneState()
    reconciler = Reconciler(SnapshotCache(), Ports("127.0.0.1", 1, 2), state)
    if document is not None:
        await reconciler.found(document, Origin.SSM)
    watcher = Watcher(EnvoyStatistics(tmp_path / "admin.sock"), state.journal)
    transport = httpx.ASGITransport(web_app(reconciler, state, watcher, OWN))
    async with httpx.AsyncClient(transport=transport, base_url="http://balancer") as client:
        yield Parts(reconciler, state, watcher, client)
    await reconciler.close()


async def test_nothing_that_is_shown_can_become_markup(tmp_path: Path) -> None:
    async with app(tmp_path, rng(target(1), target(2, draining=True))) as parts:
        notes = Diagnostics((RejectedLabel("f", 1, "l", "v", "p"),), (ShadowedRoute("r", "h", "l"),), 1, 1)
        cause = Cause(CauseKind.EVENT, 1.0, 2.0, 9, (TaskChange("t", "s", "l", "STOPPED", "r", "c"),))
        await parts.reconciler.found(Document(rng(target(2), target(3)).services, notes), Origin.SSM, cause=cause)
        parts.state.journal.in_use(parts.reconciler.generation or "")
        parts.state.journal.envoy_restarts.append(time.time())
        parts.reconciler.troubled(Trouble.BROKEN, HOSTILE)
        parts.state.rejected(Audience.GRPC, "CDS", HOSTILE, HOSTILE)
        report = made_hostile(current_report(parts.reconciler, parts.state, parts.watcher, OWN))
        for path in ("/", "/timeline", "/problems", f"/services/{HOSTILE}"):
            main = views.main_of(path, report)
            assert main is not None
            elements = Elements()
            elements.feed(whole_page(path, main, report))
            assert set(elements.names) <= set(MADE_HERE.split())
            assert elements.names.count("script") == 1
            assert not [name for name, _ in elements.attributes if name.startswith("on") or name == "style"]
            links = [value for name, value in elements.attributes if name in ("href", "src")]
            assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in links)


def test_text_and_attributes_are_escaped_and_markup_is_not_escaped_twice() -> None:
    inner = tag("b", "<&>", title='"')
    assert joined("<", inner) == '&lt;<b title="&quot;">&lt;&amp;&gt;</b>'


@pytest.mark.parametrize("path", ["/", "/timeline", "/problems", "/services/rng", "/api/report", "/metrics", "/none"])
async def test_every_answer_allows_no_foreign_script_frame_or_cache(tmp_path: Path, path: str) -> None:
    async with app(tmp_path, rng(target(1))) as parts:
        headers = (await parts.client.get(path)).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/api/report", "/live", "/metrics"])
async def test_nothing_can_be_written(tmp_path: Path, method: str, path: str) -> None:
    async with app(tmp_path, rng(target(1))) as parts:
        assert (await parts.client.request(method, path)).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/quitquitquit",
        "/config_dump",
        "/clusters",
        "/stats",
        "/admin/stats",
        "/assets/../../web.py",
        "/assets/%2e%2e/views.py",
    ],
)
async def test_envoys_admin_and_files_are_not_reachable_through_it(tmp_path: Path, path: str) -> None:
    async with app(tmp_path, rng(target(1))) as parts:
        assert (await parts.client.get(path)).status_code == 404


async def test_a_page_that_is_not_there_is_404(tmp_path: Path) -> None:
    async with app(tmp_path, rng(target(1))) as parts:
        for path in ("/services/none", "/api/services/none", "/live?page=/services/none", "/live?page=/api/report"):
            assert (await parts.client.get(path)).status_code == 404


async def test_problems_say_what_to_do(tmp_path: Path) -> None:
    async with app(tmp_path, None) as parts:
        parts.reconciler.troubled(Trouble.DENIED, "AccessDeniedException on /grpc-lb/x/index")
        parts.state.rejected(Audience.GRPC, "CDS", "client-7", "no such policy")
        problems = (await parts.client.get("/api/problems")).json()
        titles = [problem["title"] for problem in problems]
        assert "Envoy is not connected to this control plane" in titles
        assert "No target document yet" in titles
        assert any("grpc, CDS" in title for title in titles)
        (denied,) = [problem for problem in problems if "AccessDenied" in problem["detail"]]
        assert "ssm:GetParameter" in denied["do"]
        assert all(problem["do"] and problem["severity"] in ("error", "warning") for problem in problems)
        page = (await parts.client.get("/problems")).text
        assert all(title in page for title in titles)


async def test_a_service_without_targets_that_take_calls_is_a_problem(tmp_path: Path) -> None:
    async with app(tmp_path, rng(target(1, draining=True))) as parts:
        problems = (await parts.client.get("/api/problems")).json()
        (stopped,) = (each for each in problems if each["service"] == "rng")
        assert (stopped["title"], stopped["severity"]) == ("rng is being stopped, or scaled to 0", "warning")
        assert problems[-1] == stopped  # nobody calls it: whatever else there is comes first
    async with app(tmp_path, rng(replace(target(1), state=TargetState.SERVING))) as parts:
        counted = ServiceCounts({"127.0.0.1:1": TargetCounts(unhealthy=True)})
        parts.watcher.readings += [Reading(0.0, {"rng": counted}), Reading(1.0, {"rng": replace(counted, no_target=9)})]
        titles = [problem.title for problem in parts.report.problems if problem.severity == "error"]
        assert "rng has no target that takes calls" in titles


async def test_a_service_whose_route_another_holds_says_who_does_and_that_no_call_arrives(tmp_path: Path) -> None:
    holder = Service("orders", (Route(),))
    loser = replace(rng(target(1)).services[0], routes=())
    shadowed = ShadowedRoute("host * and gRPC service *", "orders", "rng")
    async with app(tmp_path, Document((holder, loser), Diagnostics(shadowed=(shadowed,)))) as parts:
        for path in ("/", "/services/rng"):
            page = (await parts.client.get(path)).text
            assert "no calls can arrive: it asks for host * and gRPC service *, which orders holds" in page
            assert '<span class="state no-route">no route</span>' in page
            assert "serving</span>" not in page


async def test_clients_without_a_proxy_are_shown_with_what_they_watch_rejected_and_cannot_follow(
    tmp_path: Path,
) -> None:
    async with app(tmp_path, rng(target(1))) as parts:
        assert "None is connected." in (await parts.client.get("/clients")).text
        kind = ClientKind(Language.CORE, (55,), "Python 1.85.1")
        missing = Unfollowed("rng", "grpc-lb.rate-limit", "Python 1.85.1", "gRPC has none")
        stream = object()
        parts.state.clients.subscribed(stream, kind, "z-b", ("rng",), (missing,))
        parts.state.rejected(Audience.GRPC, "CDS", "node-7", "no such policy")
        page = (await parts.client.get("/clients")).text
        for text in ("Python 1.85.1", "z-b", ">rng<", "grpc-lb.rate-limit", "gRPC has none", "node-7: no such policy"):
            assert text in page


async def test_an_unknown_service_s_page_leads_to_those_that_there_are(tmp_path: Path) -> None:
    async with app(tmp_path, rng(target(1))) as parts:
        answer = await parts.client.get("/services/gone")
        assert answer.status_code == 404
        assert all(link in answer.text for link in ('href="/services/rng"', 'href="/"', 'href="/problems"'))
        assert "No service is named gone" in answer.text


async def test_too_many_live_pages_are_told_to_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_pages, "MAX_PAGES", 0)
    async with app(tmp_path, rng(target(1))) as parts:
        answer = await parts.client.get("/live?page=/")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"


async def test_the_page_shows_an_even_share_live_and_the_api_says_the_same(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        settings = file_settings(tmp_path, targets_file(tmp_path, a, b))
        async with running(settings) as control, running_envoy(settings) as envoy, envoy.channel() as channel:
            await envoy.ready()
            await eventually(control.health)
            url = f"http://127.0.0.1:{settings.web_port}"
            async with httpx.AsyncClient(base_url=url) as client, client.stream("GET", "/live?page=/") as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                frames = stream.aiter_lines()
                await who(channel, 100)
                halves = 'class="fill serving" width="50.0"'
                main = await asyncio.wait_for(_frame_with(frames, halves), PATIENCE_SECONDS)
                assert main.count(halves) == 2

                async def shares() -> bool:
                    service = (await client.get("/api/services/rng")).json()
                    return (service["calls"], [each["share"] for each in service["targets"]]) == (100, [0.5, 0.5])

                await eventually(shares)
                targets_file(tmp_path, b)
                await asyncio.wait_for(_frame_with(frames, "− left"), PATIENCE_SECONDS)
                changes = (await client.get("/api/timeline")).json()
                assert changes[0]["left"] == [f"rng 127.0.0.1:{a.port}"]


async def _frame_with(lines: AsyncIterator[str], text: str) -> str:
    async for line in lines:
        if line.startswith("data: "):
            main: str = json.loads(line.removeprefix("data: "))["main"]
            if text in main:
                return main
    raise AssertionError(f"the stream ended before {text!r}")


def test_frames_that_were_compressed_once_can_be_joined_at_any_point() -> None:
    frames = [live_pages.frame_of({"main": f"frame {number} " * 50}) for number in range(5)]
    for first in range(5):
        decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
        assert decoder.decompress(live_pages.GZIP_HEADER) == b""
        for frame in frames[first:]:
            assert decoder.decompress(frame.compressed) == frame.plain


async def test_a_large_service_shows_first_what_is_not_simply_serving(tmp_path: Path) -> None:
    targets = [target(port, draining=port == 777) for port in range(1, 1001)]
    async with app(tmp_path, rng(*targets)) as parts:
        page = (await parts.client.get("/")).text
        assert page.count('class="bar"') == 12
        assert page.index("127.0.0.1:777<") < page.index("127.0.0.1:1<")
        assert "988 more" in page
        assert len((await parts.client.get("/api/services/rng")).json()["targets"]) == 1000


CANARY = weighed(
    {"blue": 95, "canary": 5},
    target(1, group="blue", zone="z-a"),
    target(2, group="canary", zone="z-b"),
    policy=TrafficPolicy(
        balancing=Balancing(Method.LEAST_REQUEST), limits=Limits(requests=200), fault=Fault(abort=Status.UNAVAILABLE)
    ),
)


async def test_addresses_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    ips = ("10.0.0.9", "10.0.0.11", "10.0.0.109", "fd00::9", "fd00::10")
    async with app(tmp_path, rng(*(target(80, ip=ip, draining=True) for ip in ips))) as parts:
        addresses = ["10.0.0.9:80", "10.0.0.11:80", "10.0.0.109:80", "[fd00::9]:80", "[fd00::10]:80"]
        page = (await parts.client.get("/services/rng")).text
        assert re.findall(r'<tr id="rng/([^"]+)"', page) == addresses
        problem = (await parts.client.get("/api/problems")).json()[-1]
        assert problem["detail"].startswith(", ".join(f"{address} is draining" for address in addresses))
        assert [each.split()[1] for each in parts.state.journal.changes[-1].joined] == addresses


async def test_a_service_says_its_policy_its_groups_and_that_faults_are_on(tmp_path: Path) -> None:
    async with app(tmp_path, CANARY) as parts:
        overview = (await parts.client.get("/")).text
        page = (await parts.client.get("/services/rng")).text
        for text in (overview, page):
            assert "least request: the less busy of two targets" in text
            assert "at most 200 calls at once" in text
            assert "z-a (as this balancer): 1 serving; z-b: 1 serving" in text
        assert "blue – of the calls, 95 % wanted" in overview
        assert "Faults are injected into the calls of rng" in overview
        report = (await parts.client.get("/api/services/rng")).json()
        wanted = {"balancing": "least-request", "limits.requests": "200", "fault.abort": "UNAVAILABLE"}
        assert report["policy"] == wanted
        assert [(group["name"], group["wanted_share"]) for group in report["groups"]] == [
            ("blue", 0.95),
            ("canary", 0.05),
        ]
        assert [each["wanted_share"] for each in report["targets"]] == [0.95, 0.05]


async def test_a_page_says_whose_it_is_and_that_others_see_their_own_part(tmp_path: Path) -> None:
    async with app(tmp_path, rng(target(1))) as parts:
        for path in ("/", "/services/rng", "/timeline", "/problems"):
            page = (await parts.client.get(path)).text
            assert "task balancer-1 in z-a" in page
            assert "This is balancer balancer-1 in z-a: its own calls" in page


async def test_a_service_with_nothing_chosen_says_what_holds_then(tmp_path: Path) -> None:
    async with app(tmp_path, rng(target(1))) as parts:
        assert "Nothing was chosen: each target in turn" in (await parts.client.get("/services/rng")).text


async def test_what_a_balancer_cannot_do_for_a_service_is_a_problem(tmp_path: Path) -> None:
    mirrored = Document((replace(rng(target(1)).services[0], policy=TrafficPolicy(mirror=Mirror("gone"))),))
    async with app(tmp_path, mirrored) as parts:
        problems = (await parts.client.get("/api/problems")).json()
        (problem,) = [each for each in problems if "cannot do" in each["title"]]
        assert "grpc-lb.mirror.service must be a service of this balancer" in problem["detail"]


async def test_the_service_that_has_a_problem_comes_first_on_the_overview(tmp_path: Path) -> None:
    # GIVEN services a and b, of which b is scaled to nothing, and z, which asks for what cannot be had
    a = service("a", target(1), routes=[Route("*", "a.A")])
    b = service("b", target(2, draining=True), routes=[Route("*", "b.B")])
    z = replace(service("z", target(3), routes=[Route("*", "z.Z")]), policy=TrafficPolicy(mirror=Mirror("gone")))
    async with app(tmp_path, Document((a, b, z))) as parts:
        page = (await parts.client.get("/")).text
        assert re.findall(r'<h2><a href="/services/(\w+)">', page) == ["z", "a", "b"]
        # AND its own page says what is wrong
        assert "z asks for what this balancer cannot do" in (await parts.client.get("/services/z")).text


async def test_of_many_services_those_that_are_not_whole_are_shown_and_the_rest_is_a_line_each(tmp_path: Path) -> None:
    def one(number: int) -> Service:
        name = f"service-{number}"
        return service(name, target(number + 1, draining=number == 444), routes=[Route("*", f"a.S{number}")])

    async with app(tmp_path, Document(tuple(one(number) for number in range(500)))) as parts:
        page = (await parts.client.get("/")).text
        assert page.count('class="service"') == views.MAX_CARDS
        assert '<h2><a href="/services/service-444">' in page
        assert "470 more services" in page
        assert page.count('<th scope="row"><a href="/services/') == 470
        assert len(page) < 500_000
