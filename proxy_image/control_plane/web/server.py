"""The web server on :8080: the page, its data, /healthz and /metrics. All of it reads; nothing is passed to Envoy.

For scripts (JSON; times are seconds since 1970, shares 0 to 1, latencies milliseconds as p50, p95, p99):

- `/api/report`: everything; the fields are those of `report.report.Report`.
- `/api/services/NAME`: one service, `report.service_report.ServiceReport`.
- `/api/fleet`: this balancer and what the others said of themselves, `fleet.fleet.Member`; `/api/balancer`: this one.
- `/api/timeline`: the changes of the target document, newest first, `stats.target_history.Change`.
- `/api/problems`: what is wrong and what to do, `report.problems.Problem`.
- `/healthz`: that the control plane runs, and how things stand, in a few words.
- `/metrics`: Prometheus' text format.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from grpc_lb_contract import Balancer
from proxy_image.control_plane.fleet.fleet import Fleet, Member
from proxy_image.control_plane.fleet.problems import fleet_problems
from proxy_image.control_plane.fleet.summary import summary_of
from proxy_image.control_plane.limits.descriptors import MAX_WEB
from proxy_image.control_plane.limits.log_rate import LogRate
from proxy_image.control_plane.limits.web_connections import BoundedProtocol, Connections
from proxy_image.control_plane.limits.web_hosts import Hosts
from proxy_image.control_plane.limits.xds_rate import Turns
from proxy_image.control_plane.metrics.control_plane_metrics import DocumentCollector, WorkCollector
from proxy_image.control_plane.metrics.target_metrics import EnvoyCollector
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.report.problems import Standing
from proxy_image.control_plane.report.report import Report, proxyless_of, report
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.stats.watcher import Watcher
from proxy_image.control_plane.web.page import views
from proxy_image.control_plane.web.page.charts import Charts
from proxy_image.control_plane.web.page.live import Live, TooManyPagesError
from proxy_image.control_plane.web.page.views import Beside
from proxy_image.control_plane.xds.resource_types import Audience
from proxy_image.envoy.bootstrap import Node

log = logging.getLogger(__name__)
# What clients get wrong is uvicorn's to tell, and not for each request.
logging.getLogger("uvicorn.error").addFilter(LogRate())

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
    registry = CollectorRegistry()
    for collector in (WorkCollector(state), DocumentCollector(reconciler), EnvoyCollector(reconciler, watcher)):
        registry.register(collector)

    asking: set[asyncio.Task[None]] = set()

    def others() -> tuple[Member, ...]:
        return () if fleet is None else fleet.members

    def ask_others() -> None:
        """Whoever looks waits for none of them."""
        if fleet is not None and not asking:
            task = asyncio.create_task(fleet.refresh(reconciler.document))
            asking.add(task)
            task.add_done_callback(asking.discard)

    async def heard() -> None:
        ask_others()
        if asking:
            await asyncio.wait(asking, timeout=HEAR_SECONDS)

    def now() -> Report:
        return current_report(reconciler, state, watcher, own, others())

    charts: list[Charts] = []

    def beside() -> Beside:
        # The watcher takes another hour once, when it has read what an earlier control plane kept.
        if not charts or charts[0].hour is not watcher.hour:
            charts[:] = [Charts(watcher.hour)]
        return Beside(charts[0], others())

    # A report of a large fleet takes the control plane's thread for a while: Envoy has its turn between two.
    turns = Turns()
    of_tick: dict[int, Report] = {}

    def render(path: str) -> dict[str, str] | None:
        if watcher.ticks not in of_tick:
            of_tick.clear()
            ask_others()
            of_tick[watcher.ticks] = now()
        return views.update(path, of_tick[watcher.ticks], beside())

    live = Live(watcher, render)

    async def page(request: Request) -> Response:
        await watcher.recent()
        await heard()
        async with turns:
            current = now()
        main = views.main_of(request.url.path, current, beside())
        if main is None:
            main = views.no_such_page(request.url.path, current)
            return HTMLResponse(views.document(request.url.path, main, current, live=False), 404)
        return HTMLResponse(views.document(request.url.path, main, current))

    async def follow(request: Request) -> Response:
        await first_document(reconciler)
        path = request.query_params.get("page", "/")
        name = path.removeprefix(views.SERVICE)
        found = reconciler.document is not None and reconciler.document.service(name) is not None
        if path not in views.PATHS and not (path.startswith(views.SERVICE) and found):
            return PlainTextResponse("no such page\n", 404)
        compressed = "gzip" in request.headers.get("accept-encoding", "")
        try:
            frames = live.follow(path, compressed=compressed)
        except TooManyPagesError:
            return PlainTextResponse("too many live pages\n", 503, {"Retry-After": COME_AGAIN_SECONDS})
        encoding = {"Content-Encoding": "gzip"} if compressed else {}
        return StreamingResponse(frames, media_type="text/event-stream", headers=encoding)

    async def service(request: Request) -> Response:
        await watcher.recent()
        async with turns:
            found = now().service(request.path_params["name"])
        return JSONResponse({"error": "no such service"}, 404) if found is None else _json(found)

    def data(choose: Callable[[Report], Any]) -> Endpoint:
        async def endpoint(_request: Request) -> Response:
            await watcher.recent()
            await heard()
            async with turns:
                return _json(choose(now()))

        return endpoint

    async def balancer(_request: Request) -> Response:
        # Asked by the others: it asks none of them.
        await watcher.recent()
        async with turns:
            return _json(summary_of(now()))

    async def whole_fleet(_request: Request) -> Response:
        await watcher.recent()
        await heard()
        async with turns:
            return _json((Member(OWN_ADDRESS, summary_of(now())), *others()))

    async def healthz(_request: Request) -> Response:
        return JSONResponse(facts(reconciler, state))

    async def prometheus(_request: Request) -> Response:
        await watcher.fresh()
        async with turns:
            text = generate_latest(registry)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return Starlette(
        routes=[
            *(Route(path, page) for path in (*views.PATHS, f"{views.SERVICE}{{name}}")),
            Route("/live", follow),
            Route("/api/report", data(lambda current: current)),
            Route("/api/services/{name}", service),
            Route("/api/balancer", balancer),
            Route("/api/fleet", whole_fleet),
            Route("/api/timeline", data(lambda current: current.changes)),
            Route("/api/problems", data(lambda current: current.problems)),
            *(Route(f"/assets/{path.name}", _asset(path)) for path in sorted(_ASSETS.iterdir())),
            Route("/healthz", healthz),
            Route("/metrics", prometheus),
        ],
        middleware=[Middleware(_Safe), Middleware(Hosts, hosts)],
    )


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


def current_report(
    reconciler: Reconciler, state: ControlPlaneState, watcher: Watcher, own: Node, others: Sequence[Member] = ()
) -> Report:
    now = time.time()
    standing = Standing(
        generation=reconciler.generation,
        origin=reconciler.origin,
        target_list_age_seconds=_age(state),
        trouble=reconciler.problem,
        envoy_connected=state.streams[Audience.ENVOY] > 0,
        envoy_unreadable=watcher.problem,
        has_envoy=watcher.has_envoy,
        heap_percent=watcher.readings[-1].heap_percent if watcher.readings else 0,
        refuses_calls=bool(watcher.readings) and watcher.readings[-1].refuses_calls,
        rejections=tuple(state.journal.rejections.values()),
        shortened=None if reconciler.shortened is None else reconciler.shortened.fix,
        left_out=tuple(sorted(reconciler.left_out)),
        envoy_restarted_seconds_ago=tuple(now - at for at in state.journal.envoy_restarts),
    )
    return report(
        reconciler.document,
        reconciler.newcomers,
        tuple(watcher.readings),
        state.journal,
        standing,
        at=now,
        grpc_clients=state.streams[Audience.GRPC],
        proxyless=proxyless_of(state.clients),
        task=own.id,
        zone=own.zone,
        silences=watcher.silence.now,
        usual=watcher.hour.usual(),
        more_problems=tuple(fleet_problems(others, now)),
    )


def facts(reconciler: Reconciler, state: ControlPlaneState) -> dict[str, object]:
    """What /healthz says: that the control plane runs, and how things stand."""
    services = () if reconciler.document is None else reconciler.document.services
    return {
        "generation": reconciler.generation,
        "origin": reconciler.origin,
        "target_list_age_seconds": _age(state),
        "services": len(services),
        "targets": sum(len(service.targets) for service in services),
        "targets_not_admitted": reconciler.waiting,
        "envoy_connected": state.streams[Audience.ENVOY] > 0,
        "grpc_clients": state.streams[Audience.GRPC],
        "problem": None
        if reconciler.problem is None
        else {"reason": reconciler.problem[0], "message": reconciler.problem[1]},
    }


def _age(state: ControlPlaneState) -> float | None:
    return None if (age := state.target_list_age_seconds) is None else round(age, 3)


def _json(value: Any) -> Response:
    # Tuples of dataclasses are wrapped, so that one call makes plain data of all of them.
    plain = dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else None
    return JSONResponse(plain if plain is not None else [dataclasses.asdict(each) for each in value])


def _asset(path: Path) -> Endpoint:
    content = path.read_bytes()

    async def endpoint(_request: Request) -> Response:
        return Response(content, media_type=_ASSET_TYPES[path.suffix])

    return endpoint


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are the control plane's own


async def serve(app: Starlette, listening: socket.socket, *, connections: int = MAX_WEB) -> None:
    """Serve until cancelled. connections: how many clients may have at once."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        http=partial(BoundedProtocol, Connections(connections)),  # type: ignore[arg-type]  # uvicorn calls it, and no more
        ws="none",
        timeout_graceful_shutdown=1,
        lifespan="off",
    )
    server = _Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
