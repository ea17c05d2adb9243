"""What :8080 serves: the page, its data, /healthz and /metrics. All of it reads; nothing is passed to Envoy.

For scripts (JSON; times are seconds since 1970, shares 0 to 1, latencies milliseconds as p50, p95, p99):

- `/api/report`: everything; the fields are those of `report.report.Report`.
- `/api/services/NAME`: one service, `report.service_report.ServiceReport`.
- `/api/fleet`: this balancer and what the others said of themselves, `fleet.fleet.Member`; `/api/balancer`: this one.
- `/api/timeline`: the changes of the target document, newest first, `stats.history.entries.Change`.
- `/api/problems`: what is wrong and what to do, `report.problems.Problem`.
- `/healthz`: that the control plane runs, and how things stand, in a few words.
- `/metrics`: Prometheus' text format.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from grpc_lb_contract import Balancer
from proxy_image.control_plane.fleet.fleet import Fleet, Member
from proxy_image.control_plane.fleet.summary import summary_of
from proxy_image.control_plane.limits.web_hosts import Hosts
from proxy_image.control_plane.limits.xds_rate import Turns
from proxy_image.control_plane.metrics.control_plane_metrics import DocumentCollector, WorkCollector
from proxy_image.control_plane.metrics.target_metrics import EnvoyCollector
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.report.report import Report
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.stats.watcher import Watcher
from proxy_image.control_plane.web.current_report import current_report, facts
from proxy_image.control_plane.web.page import views
from proxy_image.control_plane.web.page.charts import Charts
from proxy_image.control_plane.web.page.frame import whole_page
from proxy_image.control_plane.web.page.live import Live, TooManyPagesError
from proxy_image.control_plane.web.page.service_views import Beside
from proxy_image.envoy.bootstrap import Node

COME_AGAIN_SECONDS = "5"
# A page that opens waits so long for the other balancers; what comes later is in its next update.
HEAR_SECONDS = 0.5
# SSM answers within that, or is told of as a problem.
FIRST_DOCUMENT_SECONDS, LOOK_SECONDS = 5.0, 0.05
# Whoever asks for the fleet knows where it asked.
OWN_ADDRESS = Balancer("0.0.0.0", name="this one")  # noqa: S104 - nothing listens or connects there

_ASSETS = Path(__file__).parent / "page" / "assets"
_ASSET_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

# Nothing but this server's own script and style; nothing may frame the page or be sent from it.
SAFETY_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class _Safe:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *SAFETY_HEADERS]
            await send(message)

        await self._app(scope, receive, send_safely)


Endpoint = Callable[[Request], Awaitable[Response]]


def web_app(
    reconciler: Reconciler,
    state: ControlPlaneState,
    watcher: Watcher,
    own: Node,
    hosts: Sequence[str] = (),
    fleet: Fleet | None = None,
) -> Starlette:
    """hosts: names that requests may be for beside this balancer's own (`limits.web_hosts.is_allowed`)."""
    endpoints = _Endpoints(reconciler, state, watcher, own, fleet)
    return Starlette(
        routes=[
            *(Route(path, endpoints.page) for path in (*views.PATHS, f"{views.SERVICE}{{name}}")),
            Route("/live", endpoints.live),
            Route("/api/report", endpoints.data(lambda report: report)),
            Route("/api/services/{name}", endpoints.service),
            Route("/api/balancer", endpoints.balancer),
            Route("/api/fleet", endpoints.fleet),
            Route("/api/timeline", endpoints.data(lambda report: report.changes)),
            Route("/api/problems", endpoints.data(lambda report: report.problems)),
            *(Route(f"/assets/{path.name}", _asset(path)) for path in sorted(_ASSETS.iterdir())),
            Route("/healthz", endpoints.healthz),
            Route("/metrics", endpoints.metrics),
        ],
        middleware=[Middleware(_Safe), Middleware(Hosts, hosts)],
    )


class _Endpoints:
    """What the routes answer."""

    def __init__(
        self, reconciler: Reconciler, state: ControlPlaneState, watcher: Watcher, own: Node, fleet: Fleet | None
    ) -> None:
        self._reconciler = reconciler
        self._state = state
        self._watcher = watcher
        self._own = own
        self._fleet = fleet
        self._asking: asyncio.Task[None] | None = None
        self._charts = Charts(watcher.hour)
        # A report of a large fleet takes the control plane's thread for a while: Envoy has its turn between two.
        self._turns = Turns()
        self._of_tick: tuple[int, Report] | None = None
        self._live = Live(watcher, self._update)
        self._registry = CollectorRegistry()
        for collector in (WorkCollector(state), DocumentCollector(reconciler), EnvoyCollector(reconciler, watcher)):
            self._registry.register(collector)

    async def page(self, request: Request) -> Response:
        await self._fresh()
        async with self._turns:
            report = self._report()
        path = request.url.path
        main = views.main_of(path, report, self._beside())
        if main is None:
            return HTMLResponse(whole_page(path, views.no_such_page(path, report), report, live=False), 404)
        return HTMLResponse(whole_page(path, main, report))

    async def live(self, request: Request) -> Response:
        await first_document(self._reconciler)
        path = request.query_params.get("page", "/")
        document, name = self._reconciler.document, path.removeprefix(views.SERVICE)
        is_service = path.startswith(views.SERVICE) and document is not None and document.service(name) is not None
        if path not in views.PATHS and not is_service:
            return PlainTextResponse("no such page\n", 404)
        compressed = "gzip" in request.headers.get("accept-encoding", "")
        try:
            frames = self._live.follow(path, compressed=compressed)
        except TooManyPagesError:
            return PlainTextResponse("too many live pages\n", 503, {"Retry-After": COME_AGAIN_SECONDS})
        encoding = {"Content-Encoding": "gzip"} if compressed else {}
        return StreamingResponse(frames, media_type="text/event-stream", headers=encoding)

    def data(self, choose: Callable[[Report], Any]) -> Endpoint:
        async def endpoint(_request: Request) -> Response:
            await self._fresh()
            async with self._turns:
                return _json(choose(self._report()))

        return endpoint

    async def service(self, request: Request) -> Response:
        await self._watcher.recent()
        async with self._turns:
            found = self._report().service(request.path_params["name"])
        return JSONResponse({"error": "no such service"}, 404) if found is None else _json(found)

    async def balancer(self, _request: Request) -> Response:
        # Asked by the others: it asks none of them.
        await self._watcher.recent()
        async with self._turns:
            return _json(summary_of(self._report()))

    async def fleet(self, _request: Request) -> Response:
        await self._fresh()
        async with self._turns:
            return _json((Member(OWN_ADDRESS, summary_of(self._report())), *self._others()))

    async def healthz(self, _request: Request) -> Response:
        return JSONResponse(facts(self._reconciler, self._state))

    async def metrics(self, _request: Request) -> Response:
        await self._watcher.fresh()
        async with self._turns:
            text = generate_latest(self._registry)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _fresh(self) -> None:
        """Wait for a reading of Envoy that is fresh enough for eyes, and a little for the other balancers."""
        await self._watcher.recent()
        asking = self._ask_others()
        if asking is not None:
            await asyncio.wait((asking,), timeout=HEAR_SECONDS)

    def _ask_others(self) -> asyncio.Task[None] | None:
        if self._fleet is not None and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._fleet.refresh(self._reconciler.document))
        return self._asking

    def _others(self) -> tuple[Member, ...]:
        return () if self._fleet is None else self._fleet.members

    def _report(self) -> Report:
        return current_report(self._reconciler, self._state, self._watcher, self._own, self._others())

    def _beside(self) -> Beside:
        # The watcher takes another hour once, when it has read what an earlier control plane kept.
        if self._charts.hour is not self._watcher.hour:
            self._charts = Charts(self._watcher.hour)
        return Beside(self._charts, self._others())

    def _update(self, path: str) -> dict[str, str] | None:
        """One report for all pages that are open."""
        if self._of_tick is None or self._of_tick[0] != self._watcher.ticks:
            self._ask_others()
            self._of_tick = self._watcher.ticks, self._report()
        return views.update(path, self._of_tick[1], self._beside())


async def first_document(reconciler: Reconciler) -> None:
    """A page that was open before this control plane began keeps what it shows until there is something to show."""
    for _ in range(round(FIRST_DOCUMENT_SECONDS / LOOK_SECONDS)):
        if reconciler.document is not None or reconciler.problem is not None:
            return
        await asyncio.sleep(LOOK_SECONDS)


def readiness_app(is_ready: Callable[[], bool]) -> Starlette:
    """`GET /ready`: 200 or 503, for load balancers."""

    async def ready(_request: Request) -> Response:
        return PlainTextResponse(*(("ready", 200) if is_ready() else ("not ready", 503)))

    return Starlette(routes=[Route("/ready", ready)], middleware=[Middleware(_Safe)])


def _json(value: Any) -> Response:
    # Tuples of dataclasses are wrapped, so that one call makes plain data of all of them.
    plain = dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else None
    return JSONResponse(plain if plain is not None else [dataclasses.asdict(each) for each in value])


def _asset(path: Path) -> Endpoint:
    content = path.read_bytes()

    async def endpoint(_request: Request) -> Response:
        return Response(content, media_type=_ASSET_TYPES[path.suffix])

    return endpoint
