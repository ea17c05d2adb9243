"""The way out: readiness fails, clients are sent away, calls finish; nothing here cuts a call before its time is over.

Seen with Envoy 1.40 and grpcio: a client under load leaves with its next response, an idle one in the last third of
Envoy's drain time, a stream stays until it ends; the listener takes new connections until `stop_listening`, and streams
outlive that too. How long each part takes: `proxy_image/settings/variables.py`, and on ECS
`cdk_grpc_lb/balancer/draining.py`.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from proxy_image.envoy.admin import Activity, Admin, AdminError
from proxy_image.envoy.command_line import move_seconds
from proxy_image.envoy.shared_values import CONNECTION_DRAIN_SECONDS
from proxy_image.supervisor.child import wait_for

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class DrainTimes:
    """Seconds: `delay` with readiness failing, at most `drain` after that, of which the first `move` to send away."""

    delay: float
    move: float
    drain: float

    @classmethod
    def of(cls, delay: float, drain: float) -> "DrainTimes":
        return cls(delay=delay, move=min(drain, move_seconds(drain) + CONNECTION_DRAIN_SECONDS), drain=drain)


async def drain(admin: Admin, times: DrainTimes, hasten: asyncio.Event) -> None:
    """Returns when Envoy may be stopped. Each time `hasten` is set, what is waited for then is waited for no longer.

    Cancel it when Envoy dies.
    """
    try:
        if not admin.listens():
            log.info("nothing to drain, no listener yet")
            return
    except AdminError as error:
        log.warning("drain without envoy's answer", extra={"facts": {"error": str(error)}})
    log.info("readiness fails, serving on", extra={"facts": {"seconds": times.delay}})
    ready_until = time.monotonic() + times.delay
    if not await _repeat(admin.fail_readiness, ready_until, hasten):
        await _pause(hasten, max(0.0, ready_until - time.monotonic()))

    log.info("sending clients away", extra={"facts": {"seconds": times.move, "at_most_seconds": times.drain}})
    started = time.monotonic()
    end = started + times.drain
    if not await _repeat(admin.send_clients_away, end, hasten):
        # However late Envoy took it: from then on it needs this long to send them all away.
        await _until(admin, lambda now: now.connections == 0, min(end, time.monotonic() + times.move), hasten)

    log.info("no new connections", extra={"facts": {"at_most_seconds": round(end - time.monotonic(), 1)}})
    if not await _repeat(admin.stop_listening, end, hasten):
        # Its workers close their sockets a moment after the answer, and a call may still come in by one.
        await _pause(hasten, min(_LOOK_SECONDS, max(0.0, end - time.monotonic())))
    left = await _until(admin, lambda now: now.requests == 0, end, hasten)
    facts = {
        "seconds": round(time.monotonic() - started, 1),
        "calls_left": None if left is None else left.requests,
        "connections_left": None if left is None else left.connections,
    }
    log.info("drained", extra={"facts": facts})


async def drain_without_envoy(fail_readiness: Callable[[], None], delay: float, hasten: asyncio.Event) -> None:
    """Readiness fails for so many seconds while xDS streams stay: they carry no calls, and their end cuts none."""
    fail_readiness()
    log.info("readiness fails, serving on", extra={"facts": {"seconds": delay}})
    await _pause(hasten, delay)
    log.info("drained")


async def _repeat(request: Callable[[], None], deadline: float, hasten: asyncio.Event) -> bool:
    """Asks until it is done or the deadline has come, once at least: Envoy's main thread may be late. Says whether it
    was hastened meanwhile. A drain goes on where Envoy's admin never answers: its time limits hold all the same.
    """
    failed = False
    while True:
        try:
            request()
        except AdminError as error:
            if not failed:
                log.warning("drain step failed", extra={"facts": {"error": str(error)}})
            failed = True
        else:
            return False
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        if await _pause(hasten, min(left, _LOOK_SECONDS)):
            return True


async def _until(
    admin: Admin, done: Callable[[Activity], bool], deadline: float, hasten: asyncio.Event
) -> Activity | None:
    """Looks at Envoy's activity until it is `done`, until the deadline or until hastened; returns the last one seen."""
    seen: Activity | None = None
    while True:
        try:
            seen = admin.activity()
            if done(seen):
                return seen
        except AdminError as error:
            log.debug("no statistics", extra={"facts": {"error": str(error)}})
        left = deadline - time.monotonic()
        if left <= 0 or await _pause(hasten, min(left, _LOOK_SECONDS)):
            return seen


async def _pause(hasten: asyncio.Event, seconds: float) -> bool:
    hastened = await wait_for(hasten, seconds)
    hasten.clear()
    return hastened
