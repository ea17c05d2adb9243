"""/healthz and /metrics."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Iterator

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proxy_image.control_plane.applier import Applier
from proxy_image.control_plane.metrics import Metrics
from proxy_image.control_plane.xds.types import Audience

log = logging.getLogger(__name__)

# Pages and scrapers are few; anyone else waits, and the control plane's memory is its own.
MOST_CONNECTIONS = 200


def web_app(applier: Applier, metrics: Metrics) -> Starlette:
    async def healthz(_request: Request) -> Response:
        return JSONResponse(facts(applier, metrics))

    async def prometheus(_request: Request) -> Response:
        return Response(generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", prometheus)])


def facts(applier: Applier, metrics: Metrics) -> dict[str, object]:
    """What /healthz says: that the control plane runs, and how things stand."""
    age = None if metrics.confirmed_at is None else round(time.monotonic() - metrics.confirmed_at, 3)
    services = () if applier.document is None else applier.document.services
    return {
        "generation": applier.generation,
        "origin": applier.origin,
        "confirmed_seconds_ago": age,
        "services": len(services),
        "targets": sum(len(service.targets) for service in services),
        "targets_not_admitted": applier.waiting,
        "envoy_connected": metrics.streams[Audience.ENVOY] > 0,
        "grpc_clients": metrics.streams[Audience.GRPC],
        "problem": None if applier.problem is None else {"reason": applier.problem[0], "message": applier.problem[1]},
    }


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are the control plane's own


async def serve(app: Starlette, listening: socket.socket) -> None:
    """Serve until cancelled."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        limit_concurrency=MOST_CONNECTIONS,
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
