"""The first process: keeps Envoy and the control plane running, apart from each other, and ends them in order."""

import asyncio
import contextlib
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Sequence

from proxy_image.envoy.admin import Admin
from proxy_image.envoy.binary import environment, find_envoy
from proxy_image.envoy.bootstrap import Node, bootstrap, to_json
from proxy_image.envoy.command_line import arguments
from proxy_image.settings import VARIABLES, Settings, to_environment
from proxy_image.supervisor import heartbeat
from proxy_image.supervisor.child import Child
from proxy_image.supervisor.drain import DrainTimes, drain, drain_without_envoy
from proxy_image.supervisor.heartbeat import Ear

log = logging.getLogger(__name__)

CONTROL_PLANE = (sys.executable, "-m", "proxy_image.control_plane")

# What the control plane ends with when its settings are wrong, and this program too.
WRONG_SETTING = 2

# Envoy ends at once when it is told to; the control plane closes its streams. ECS's stop timeout has to leave both.
ENVOY_STOP_SECONDS = 2.0
CONTROL_PLANE_STOP_SECONDS = 3.0

# Wrappers and terminals often send one signal twice.
ONE_SIGNAL_SECONDS = 0.5

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Supervisor:
    """Runs until SIGTERM, SIGINT or SIGHUP, then drains; a further signal shortens the drain by its current step."""

    def __init__(
        self,
        settings: Settings,
        node: Node,
        *,
        concurrency: int,
        descriptors: int,
        memory: int | None = None,
        control_plane: Sequence[str] = CONTROL_PLANE,
    ) -> None:
        self.settings = settings
        self._config = settings.run_dir / "envoy.json"
        self._concurrency = concurrency
        self._told_to_stop = asyncio.Event()
        self._hasten = asyncio.Event()
        self._last_signal = -math.inf
        self.envoy: Child | None = None
        if settings.has_envoy:
            self._config.write_text(to_json(bootstrap(settings, node, descriptors=descriptors, memory=memory)))
            self.envoy = Child("envoy", self._envoy_command, environment(os.environ))
        self.control_plane = Child(
            "control plane", lambda: control_plane, child_environment(settings), refusal=WRONG_SETTING
        )

    def _envoy_command(self) -> Sequence[str]:
        binary = find_envoy(self.settings.envoy_binary)
        return (str(binary), *arguments(self.settings, self._config, concurrency=self._concurrency))

    async def run(self) -> int:
        """The exit code: 0, or WRONG_SETTING where the control plane refused its settings at the start."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.control_plane.keep_running())
            if self.envoy is not None:
                tasks.create_task(self.envoy.keep_running())
            listening = tasks.create_task(self._listen_for_life())
            await self._end()
            if self.envoy is None:
                await drain_without_envoy(
                    self.settings.draining_mark.touch, self.settings.drain_delay_seconds, self._hasten
                )
            else:
                self.envoy.leave()
                await self._drain(self.envoy)
                await self.envoy.stop(ENVOY_STOP_SECONDS)
            # Last, so that Envoy has its targets, and their health, for as long as it serves.
            listening.cancel()
            await self.control_plane.stop(CONTROL_PLANE_STOP_SECONDS)
        log.info("stopped")
        return WRONG_SETTING if self.control_plane.refused.is_set() else 0

    async def _listen_for_life(self) -> None:
        with contextlib.closing(Ear(self.settings.heartbeat_socket)) as ear:
            while True:
                await asyncio.sleep(heartbeat.BEAT_SECONDS)
                ear.listen(self.control_plane.pid)
                if ear.hears_nothing():
                    silent = round(ear.silent_turns * heartbeat.BEAT_SECONDS, 1)
                    facts = {"pid": self.control_plane.pid, "silent_seconds": silent}
                    log.error("control plane hangs, killing it", extra={"facts": facts})
                    self.control_plane.kill()

    async def _end(self) -> None:
        ends = [asyncio.create_task(event.wait()) for event in (self._told_to_stop, self.control_plane.refused)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    async def _drain(self, envoy: Child) -> None:
        times = DrainTimes.of(self.settings.drain_delay_seconds, self.settings.drain_seconds)
        draining = asyncio.create_task(drain(Admin(self.settings.admin_socket), times, self._hasten))
        dead = asyncio.create_task(envoy.gone.wait())
        await asyncio.wait((draining, dead), return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            log.error("drain ends, envoy is gone")
        for task in (draining, dead):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _on_signal(self, number: signal.Signals) -> None:
        now = time.monotonic()
        again = self._told_to_stop.is_set() and now - self._last_signal > ONE_SIGNAL_SECONDS
        self._last_signal = now
        log.info("told to stop", extra={"facts": {"signal": number.name, "hastens": again}})
        if again:
            self._hasten.set()
        self._told_to_stop.set()

    def _reap(self) -> None:
        """Collects every ended child: the first process of a container inherits orphans that are not its own."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in (self.envoy, self.control_plane):
                if child is not None and child.pid == pid:
                    child.on_exit(os.waitstatus_to_exitcode(status))
                    break
            else:
                log.debug("orphan reaped", extra={"facts": {"pid": pid}})


def child_environment(settings: Settings) -> dict[str, str]:
    """This process's environment, with the settings as they came out of environment and flags."""
    known = {variable.name for variable in VARIABLES}
    others = {name: value for name, value in os.environ.items() if name not in known}
    return others | to_environment(settings)
