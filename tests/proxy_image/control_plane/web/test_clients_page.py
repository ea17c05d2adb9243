"""The page of clients without a proxy, with a real gRPC client: who it is, what it watches, and what it rejected."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import grpc
import httpx
from envoy.config.cluster.v3 import cluster_pb2

from grpc_lb_contract import Document
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.sources.sink import Origin
from proxy_image.control_plane.stats.watcher import EnvoyStatistics, Watcher
from proxy_image.control_plane.web.app import web_app
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType
from proxy_image.control_plane.xds.snapshot import Resource, Resources, Snapshot
from proxy_image.control_plane.xds.snapshot_maker import snapshot
from tests.proxy_image.control_plane.support import (
    NODE,
    ControlPlane,
    backends,
    control_plane,
    eventually,
    rng,
    settings_for,
    target,
)
from tests.proxy_image.control_plane.xds.proxyless.harness import bootstrap, client_process

CDS = ResourceType.CLUSTER


def without_a_kind(document: Document, plane: ControlPlane) -> Snapshot:
    """The document's snapshot, but with clusters of a kind that gRPC clients refuse (gRFC A27: EDS alone)."""
    made = snapshot(document, plane.ports)
    by_type = made.audiences[Audience.GRPC].by_type
    clusters = {name: Resource.of(cluster_pb2.Cluster(name=name)) for name in by_type[CDS]}
    spoilt = Resources({**by_type, CDS: MappingProxyType(clusters)})
    return Snapshot("spoilt", MappingProxyType({**made.audiences, Audience.GRPC: spoilt}))


async def test_a_client_is_shown_with_its_version_what_it_watches_and_what_it_rejected(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with (
        backends("a") as (a,),
        control_plane(settings) as plane,
        AdsServer(AdsService(plane.cache, plane.state, plane.state.clients), "127.0.0.1:0") as server,
        client_process("Python", "rng", bootstrap(server.port, "z1")) as client,
    ):
        document = rng(target(a.port, zone="z1"))
        reconciler = Reconciler(plane.cache, plane.ports, plane.state)
        await reconciler.found(document, Origin.SSM)
        watcher = Watcher(EnvoyStatistics(settings.admin_socket), plane.state.journal)
        transport = httpx.ASGITransport(web_app(reconciler, plane.state, watcher, NODE))
        async with httpx.AsyncClient(transport=transport, base_url="http://balancer") as browser:

            async def shows(*texts: str) -> bool:
                page = (await browser.get("/clients")).text
                return all(text in page for text in texts)

            assert await shows("None is connected.")
            # WHEN a client calls a service, THEN the page says who it is and what it watches
            assert await client.who(3) == {"a": 3}
            assert await shows(f">Python {grpc.__version__}<", ">z1<", ">rng<")
            # WHEN it rejects what it gets, THEN the page says so with the client's own words, and its calls go on
            await plane.cache.publish(without_a_kind(document, plane))
            await eventually(lambda: shows("A client rejected its configuration (grpc, CDS)"))
            assert await shows("More in docs/operate/alarms.md: ResourceRejected")
            assert await client.who(3) == {"a": 3}
            # AND it is over once it takes what it gets
            await reconciler.close()
            await plane.serve(document)

            async def is_over() -> bool:
                return not await shows("A client rejected")

            await eventually(is_over)
