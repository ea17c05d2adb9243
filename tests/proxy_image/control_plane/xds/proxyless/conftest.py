"""One process of each language's client for all tests that need none of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.proxy_image.control_plane.support import ControlPlane
from tests.proxy_image.control_plane.xds.proxyless.harness import SharedClients, XdsClient, xds_client

OpenClient = Callable[..., AbstractAsyncContextManager[tuple[XdsClient, ControlPlane]]]


@pytest.fixture(scope="session")
def shared_clients() -> Iterator[SharedClients]:
    clients = SharedClients()
    yield clients
    clients.end()


@pytest.fixture
def open_client(shared_clients: SharedClients, language: str, tmp_path: Path) -> OpenClient:
    """`xds_client` in the test's language, with new channels in a process that other tests use too."""
    return partial(xds_client, language, tmp_path, shared=shared_clients)
