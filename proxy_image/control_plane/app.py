"""Wires the control plane: source → reconciler → snapshots → ADS, with the web server beside it."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from typing import TypeVar

from grpc_lb_contract.names import host_port
from proxy_image.control_plane.fleet.fleet import Fleet
from proxy_image.control_plane.limits.descriptors import of_this_process
from proxy_image.control_plane.metrics.cloudwatch import Publisher
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.sources.sink import Sink
from proxy_image.control_plane.sources.targets_file import TargetsFileSource
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.stats.history.ejection_log import EjectionLog
from proxy_image.control_plane.stats.last_hour.hour_file import HourFile
from proxy_image.control_plane.stats.reported_calls import reported_calls
from proxy_image.control_plane.stats.watcher import EnvoyStatistics, Watcher
from proxy_image.control_plane.status_log import tell_of_following
from proxy_image.control_plane.web.app import readiness_app, web_app
from proxy_image.control_plane.web.server import serve
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.envoy.listeners import Ports
from proxy_image.control_plane.xds.envoy.tls import find_system_cas
from proxy_image.envoy.bootstrap import Node
from proxy_image.machine import read_task
from proxy_image.settings import Settings
from proxy_image.supervisor.heartbeat import beat

log = logging.getLogger(__name__)

LISTEN_AGAIN_SECONDS = 2.0

_T = TypeVar("_T")


async def run(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Raises `WrongSettingError` or `OSError` where it cannot start."""
    state = ControlPlaneState()
    cache = SnapshotCache()
    ports = Ports(settings.bind_address, settings.port, settings.ready_port, settings.proxy_protocol)
    own = await asyncio.to_thread(read_task, os.environ)
    reconciler = Reconciler(
        cache,
        ports,
        state,
        own_zone=own.node.zone,
        telemetry=settings.telemetry,
        system_cas=await asyncio.to_thread(find_system_cas),
        metadata=settings.metadata,
        has_envoy=settings.has_envoy,
    )
    watcher = Watcher(
        EnvoyStatistics(settings.admin_socket) if settings.has_envoy else None,
        state.journal,
        HourFile(settings.state_dir),
        EjectionLog(settings.ejections_log) if settings.has_envoy else None,
        reported=lambda: reported_calls(state.clients.calls.counts),
    )
    follow = await source_of(settings, reconciler)
    service = AdsService(cache, state, state.clients)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(service.ended)
        if settings.has_envoy:
            await stack.enter_async_context(AdsServer(service, settings.ads_socket))
        log.info("control plane serves", extra={"facts": {"envoy": settings.has_envoy}})
        work: dict[str, Coroutine[None, None, None]] = {
            "source": follow(),
            "ads for gRPC clients": _serve_clients(service, settings),
            "web": _serve_web(reconciler, state, watcher, own.node, settings),
            "statistics": watcher.run(),
            "signal": _signalled(),
            "heartbeat": beat(settings.heartbeat_socket),
            "following": tell_of_following(reconciler, state),
        }
        if not settings.has_envoy:
            work["readiness"] = _serve_readiness(cache, settings)
        if settings.cloudwatch_balancer is not None:
            publisher = Publisher(
                reconciler,
                state,
                watcher,
                balancer=settings.cloudwatch_balancer,
                namespace=settings.cloudwatch_namespace,
            )
            work["cloudwatch"] = publisher.run()
        try:
            await _until_one_ends(work)
        finally:
            await reconciler.close()
    log.info("control plane stops")


async def _until_one_ends(work: Mapping[str, Coroutine[None, None, None]]) -> None:
    """None but the signal ends by itself; another one that does is a fault, and the supervisor restarts us."""
    tasks = [asyncio.create_task(each, name=name) for name, each in work.items()]
    try:
        ended, _running = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def source_of(settings: Settings, sink: Sink) -> Callable[[], Coroutine[None, None, None]]:
    """What follows the targets where the settings say. Raises `WrongSettingError`."""
    if settings.targets_file is not None:
        file_source = TargetsFileSource(settings.targets_file, poll_seconds=settings.poll_seconds, sink=sink)
        await file_source.start()
        return file_source.run
    # Only here: botocore takes a fifth of a second to import, and a targets file needs none of it.
    from proxy_image.control_plane.sources.last_good import LastGood
    from proxy_image.control_plane.sources.merged import Merged
    from proxy_image.control_plane.sources.parameters import ssm_parameters
    from proxy_image.control_plane.sources.poll_intervals import Intervals
    from proxy_image.control_plane.sources.ssm import SsmSource

    parameters = ssm_parameters()
    intervals = Intervals(expecting=settings.poll_seconds, idle=settings.idle_poll_seconds)

    def source(prefix: str, last_good: LastGood, sink: Sink) -> SsmSource:
        return SsmSource(parameters, prefix=prefix, intervals=intervals, last_good=last_good, sink=sink)

    prefixes = settings.parameter_prefixes
    if len(prefixes) == 1:
        return source(prefixes[0], LastGood(settings.state_dir, prefixes[0]), sink).run
    merged = Merged(prefixes, sink)
    directories = [settings.state_dir / f"cluster-{number}" for number in range(len(prefixes))]
    sources = [
        source(prefix, LastGood(directory, prefix), part)
        for prefix, directory, part in zip(prefixes, directories, merged.parts, strict=True)
    ]
    return functools.partial(merged.run, sources)


async def _serve_clients(service: AdsService, settings: Settings) -> None:
    async def listen() -> AdsServer:
        where = host_port(settings.bind_address, settings.xds_port)
        server = AdsServer(service, where, connections=of_this_process().xds)
        await server.start()
        return server

    server = await _until_listening("ads for gRPC clients", settings.xds_port, "GRPC_LB_XDS_PORT", listen)
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()


async def _serve_web(
    reconciler: Reconciler, state: ControlPlaneState, watcher: Watcher, own: Node, settings: Settings
) -> None:
    async def listen() -> socket.socket:
        return _listening(settings.bind_address, settings.web_port)

    listening = await _until_listening("web", settings.web_port, "GRPC_LB_WEB_PORT", listen)
    fleet = Fleet(settings.parameter_prefixes, own.id, (settings.bind_address, settings.web_port))
    app = web_app(reconciler, state, watcher, own, settings.web_hosts, fleet)
    with listening:
        await serve(app, listening, connections=of_this_process().web)


async def _serve_readiness(cache: SnapshotCache, settings: Settings) -> None:
    """What Envoy answers where there is one: ready with a document, until the supervisor drains."""

    async def listen() -> socket.socket:
        return _listening(settings.bind_address, settings.ready_port)

    def is_ready() -> bool:
        return cache.snapshot is not None and not settings.draining_mark.exists()

    listening = await _until_listening("readiness", settings.ready_port, "GRPC_LB_READY_PORT", listen)
    with listening:
        await serve(readiness_app(is_ready), listening, connections=of_this_process().web)


async def _until_listening(what: str, port: int, variable: str, listen: Callable[[], Awaitable[_T]]) -> _T:
    """A port that is taken costs its own server only, and only while it is taken: Envoy's configuration goes on."""
    told = False
    while True:
        try:
            server = await listen()
        except OSError as error:
            if not told:
                facts = {"server": what, "port": port, "error": str(error), "fix": f"free the port or set {variable}"}
                log.error("port not available", extra={"facts": facts})  # noqa: TRY400 - the error is in the facts
            told = True
            await asyncio.sleep(LISTEN_AGAIN_SECONDS)
        else:
            log.info("listening", extra={"facts": {"server": what, "port": port}})
            return server


async def _signalled() -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    with suppress(asyncio.CancelledError):
        await stopped.wait()


def _listening(address: str, port: int) -> socket.socket:
    return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
