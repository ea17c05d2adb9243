"""New targets wait at the door until they accept connections.

A task is RUNNING when its container has started; until its server listens, about a second later, every call sent to it
would be refused and tried elsewhere, and the only other task of a service may be on its way out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from grpc_lb_contract import Document, Service, Target, TargetState
from grpc_lb_contract.names import host_port
from proxy_image.control_plane.document_changes import changed_services

log = logging.getLogger(__name__)

TRY_SECONDS = 0.5
PAUSE_SECONDS = 0.1
MAX_WAIT_SECONDS = 10.0
MAX_TRIES_AT_ONCE = 64


class Newcomer(NamedTuple):
    """A target, told apart from another task that had its address before."""

    ip: str
    port: int
    task: str

    @classmethod
    def of(cls, target: Target) -> Newcomer:
        return cls(target.ip, target.port, target.task)


def admitted_only(document: Document, waiting: Iterable[Newcomer]) -> Document:
    """The document without those that wait. A service that has no others keeps them: they are its best hope."""
    absent = frozenset(waiting)
    hosts = frozenset(newcomer.ip for newcomer in absent)
    return Document(tuple(_admitted(service, absent, hosts) for service in document.services)) if absent else document


def _admitted(service: Service, waiting: frozenset[Newcomer], hosts: frozenset[str]) -> Service:
    if not any(target.ip in hosts for target in service.targets):
        return service
    targets = tuple(target for target in service.targets if Newcomer.of(target) not in waiting)
    serves = any(target.state is TargetState.SERVING for target in targets)
    return replace(service, targets=targets) if serves else service


class ReadinessGate:
    """Tries new targets, and calls `changed` whenever one no longer waits."""

    def __init__(self, changed: Callable[[], Awaitable[None]], *, max_wait_seconds: float = MAX_WAIT_SECONDS) -> None:
        self._changed = changed
        self._max_wait_seconds = max_wait_seconds
        self._document: Document | None = None
        # A target may stand behind several services.
        self._services_of: Counter[Newcomer] = Counter()
        self._tries: dict[Newcomer, asyncio.Task[None]] = {}
        self._at_once = asyncio.Semaphore(MAX_TRIES_AT_ONCE)
        self._telling: asyncio.Task[None] | None = None
        self._untold = False

    @property
    def waiting(self) -> frozenset[Newcomer]:
        return frozenset(self._tries)

    def follow(self, document: Document, *, trusted: bool) -> None:
        """Take note of a document. The new targets of one that is trusted need not wait.

        That is the first document of a process: Envoy may be using its targets already.
        """
        was, now = (Counter(_serving(services)) for services in changed_services(self._document, document))
        new = now.keys() - self._services_of.keys()
        self._document = document
        self._services_of.update(now)
        self._services_of.subtract(was)
        for each in was:
            if not self._services_of[each]:
                del self._services_of[each]
        for gone in self._tries.keys() - self._services_of.keys():
            self._tries.pop(gone).cancel()
        if not trusted:
            for newcomer in new:
                self._tries[newcomer] = asyncio.create_task(self._try(newcomer), name=f"admission of {newcomer}")

    async def close(self) -> None:
        tasks = [*self._tries.values(), *([self._telling] if self._telling is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _try(self, newcomer: Newcomer) -> None:
        started = time.monotonic()
        accepts = False
        while not accepts and time.monotonic() - started < self._max_wait_seconds:
            async with self._at_once:
                accepts = await _accepts(newcomer)
            if not accepts:
                await asyncio.sleep(PAUSE_SECONDS)
        facts = {
            "target": host_port(newcomer.ip, newcomer.port),
            "task": newcomer.task,
            "seconds": round(time.monotonic() - started, 3),
        }
        if accepts:
            log.info("target admitted", extra={"facts": facts})
        else:
            log.warning("target admitted although it accepts no connection", extra={"facts": facts})
        self._tries.pop(newcomer, None)
        self._untold = True
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell(), name="admission")

    async def _tell(self) -> None:
        # Those admitted while others are being reported are reported together.
        while self._untold:
            self._untold = False
            await self._changed()


def _serving(services: Iterable[Service]) -> Iterator[Newcomer]:
    for service in services:
        for target in service.targets:
            if target.state is TargetState.SERVING:
                yield Newcomer.of(target)


async def _accepts(newcomer: Newcomer) -> bool:
    try:
        async with asyncio.timeout(TRY_SECONDS):
            _, writer = await asyncio.open_connection(newcomer.ip, newcomer.port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
