"""A server, reached directly and through a balancer with its default settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpc_lb_contract import Document, Service
from tests.proxy_image.control_plane.support import Envoy, balancer, service, target


@dataclass(frozen=True)
class Ways:
    """The ports of one server: its own, and the balancer's."""

    direct: int
    balanced: int
    envoy: Envoy


@asynccontextmanager
async def balanced(directory: Path, port: int, *others: Service, **settings: Any) -> AsyncIterator[Ways]:
    """`others` stand behind the same balancer, `settings` are its variables."""
    document = Document((service("rng", target(port)), *others))
    async with balancer(directory, document, **settings) as (_, envoy):
        await envoy.has(port)
        yield Ways(port, envoy.settings.port, envoy)


def resident_mib(envoy: Envoy) -> float:
    status = Path(f"/proc/{envoy.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
