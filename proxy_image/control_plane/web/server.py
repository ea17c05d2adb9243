"""The web server: uvicorn with limits for each connection and for all, and signals left to the control plane."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from functools import partial

import uvicorn
from starlette.applications import Starlette

from proxy_image.control_plane.limits.descriptors import MAX_WEB
from proxy_image.control_plane.limits.log_rate import LogRate
from proxy_image.control_plane.limits.web_connections import BoundedProtocol, Connections

# What clients get wrong is uvicorn's to tell, and not for each request.
logging.getLogger("uvicorn.error").addFilter(LogRate())


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
