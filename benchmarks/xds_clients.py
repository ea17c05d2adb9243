"""Many xDS clients of one control plane that has a share of a CPU: how long they take to subscribe, how long a change
takes to all of them, and what a control plane does that all come back to at once after it was killed.

Each client is one ADS stream that goes the way of gRPC's clients, listener to endpoints, and acknowledges. They come
back as soon as the port takes connections, without gRPC's back-off: the worst that may happen. Linux only.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from running_balancer import PATIENCE_SECONDS, Balancer, ParameterStore

from grpc_lb_contract import Document, pack
from proxy_image.control_plane.xds.ads_server import METHOD, SERVICE
from proxy_image.control_plane.xds.resource_types import ResourceType

CLIENTS_A_CONNECTION = 50
WAY = (ResourceType.LISTENER, ResourceType.ROUTES, ResourceType.CLUSTER, ResourceType.ENDPOINTS)
# As CFS does it: so much of each period, then nothing.
PERIOD_SECONDS = 0.1
AGAIN_SECONDS = 0.05
STORM_SECONDS = 5 * PATIENCE_SECONDS


@contextmanager
def cpu_share(running: Balancer, share: float) -> Iterator[None]:
    """The control plane runs for this share of each tenth of a second, whichever process it is."""
    if share >= 1:
        yield
        return
    over = threading.Event()

    def throttle() -> None:
        while not over.is_set():
            pid = running.control_plane_pid()
            _signal(pid, signal.SIGSTOP)
            time.sleep((1 - share) * PERIOD_SECONDS)
            _signal(pid, signal.SIGCONT)
            over.wait(share * PERIOD_SECONDS)

    thread = threading.Thread(target=throttle)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _signal(pid: int | None, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        if pid is not None:
            os.kill(pid, number)


@dataclass
class Client:
    """One stream at a time. `taken` is set, and `times` has when, once it has endpoints."""

    channel: grpc.aio.Channel
    name: str
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    times: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Until it is cancelled; comes back at once where its stream ends."""
        while True:
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await self._stream()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _stream(self) -> None:
        stream: Any = self.channel.stream_stream(
            f"/{SERVICE}/{METHOD}",
            request_serializer=discovery_pb2.DiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DiscoveryResponse.FromString,
        )(wait_for_ready=True)
        following = {one.url: other for one, other in pairwise(WAY)}
        asked = {WAY[0].url}
        await stream.write(self._request(WAY[0].url))
        while (answer := await stream.read()) is not grpc.aio.EOF:
            url = answer.type_url
            await stream.write(self._request(url, nonce=answer.nonce, version=answer.version_info))
            then = following.get(url)
            if then is None:
                self.times.append(time.perf_counter())
                self.taken.set()
            elif then.url not in asked:
                asked.add(then.url)
                await stream.write(self._request(then.url))

    def _request(self, url: str, *, nonce: str = "", version: str = "") -> Any:
        request = discovery_pb2.DiscoveryRequest(
            type_url=url, resource_names=[self.name], response_nonce=nonce, version_info=version
        )
        request.node.user_agent_name, request.node.user_agent_version = "gRPC C-core", "C-core 58.0.0"
        return request


async def measure_clients(
    count: int, store: ParameterStore, running: Balancer, share: float, documents: tuple[Document, Document]
) -> None:
    """`documents`: the one that is served, and the same with other targets."""
    channels = [
        grpc.aio.insecure_channel(
            f"127.0.0.1:{running.xds_port}",
            options=[("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 100)],
        )
        for _ in range(-(-count // CLIENTS_A_CONNECTION))
    ]
    (service,) = documents[0].services
    clients = [Client(channels[number // CLIENTS_A_CONNECTION], service.name) for number in range(count)]
    print(f"{count} xDS clients, a control plane of {share:g} CPU:")
    with cpu_share(running, share):
        memory, cpu, began = running.resident_mib(), running.cpu_seconds(), time.perf_counter()
        tasks = [asyncio.create_task(client.run()) for client in clients]
        await _all_take(clients)
        _tell("subscribed from listener to endpoints", clients, began)
        print(f"  {running.cpu_seconds() - cpu:.2f} s of CPU, {running.resident_mib() - memory:+.0f} MiB")

        began, cpu = time.perf_counter(), running.cpu_seconds()
        _forget(clients)
        store.publish(pack(documents[1]))
        await _all_take(clients)
        _tell("a change after it was published", clients, began)
        print(f"  {running.cpu_seconds() - cpu:.2f} s of CPU")

        killed = running.control_plane_pid()
        _forget(clients)
        began = time.perf_counter()
        _signal(killed, signal.SIGKILL)
        await _all_take(clients)
        _tell("all back after the control plane was killed", clients, began)
        print(f"  the new one: {running.cpu_seconds():.2f} s of CPU, {running.resident_mib():.0f} MiB in all")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for channel in channels:
        await channel.close()


def _forget(clients: list[Client]) -> None:
    for client in clients:
        client.taken.clear()
        client.times.clear()


async def _all_take(clients: list[Client]) -> None:
    async with asyncio.timeout(STORM_SECONDS):
        await asyncio.gather(*(client.taken.wait() for client in clients))


def _tell(what: str, clients: list[Client], began: float) -> None:
    taken = sorted(client.times[0] - began for client in clients)
    half = taken[len(taken) // 2]
    print(f"  {what}: the first after {taken[0]:.2f} s, half after {half:.2f} s, all after {taken[-1]:.2f} s")
