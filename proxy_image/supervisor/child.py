"""A child process that is kept running: started, watched, started again with a growing delay, and stopped."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 10.0
# A child that ran this long was well: its next failure counts as the first.
WELL_SECONDS = 30.0

_PR_SET_PDEATHSIG = 1  # prctl(2)


def restart_delay(failures: int) -> float:
    """Seconds to wait before the start after so many failures in a row: 0.1, 0.2, 0.4 … 10."""
    return min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** (min(failures, 20) - 1))


def describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


class Child:
    """One child. `command` is asked before each start and may raise OSError, which counts as a failed start.

    Where its very first run ends with `refusal`, a setting is wrong and trying again is no use: `refused` is set.
    """

    def __init__(
        self, name: str, command: Callable[[], Sequence[str]], env: Mapping[str, str], *, refusal: int | None = None
    ) -> None:
        self.name = name
        self.gone = asyncio.Event()
        self.refused = asyncio.Event()
        self._refusal = refusal
        self._command = command
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._exited = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def on_exit(self, code: int) -> None:
        """To be called by whoever reaps this process's children."""
        if self._process is not None:
            self._process.returncode = code
            self._exited.set()

    def leave(self) -> None:
        """From now on an exit of the child is final: `gone` is set instead of starting it again."""
        self._stopping.set()

    async def keep_running(self) -> None:
        failures = starts = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            reason = await self._run()
            ran = time.monotonic() - started
            starts += 1
            if self._stopping.is_set():
                break
            if starts == 1 and self._refusal is not None and reason == describe_exit(self._refusal):
                self.refused.set()
                break
            failures = 1 if ran >= WELL_SECONDS else failures + 1
            delay = restart_delay(failures)
            facts = {"reason": reason, "ran_seconds": round(ran, 3), "restart_in_seconds": delay, "failures": failures}
            log.error("%s stopped", self.name, extra={"facts": facts})
            await wait_for(self._stopping, delay)
        self.gone.set()

    async def _run(self) -> str:
        self._exited.clear()
        try:
            process = self._process = self._start()
        except OSError as error:
            return str(error)
        log.info("%s started", self.name, extra={"facts": {"pid": process.pid}})
        await self._exited.wait()
        self._process = None
        return describe_exit(process.returncode)

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command(),
            env=self._env,
            stdin=subprocess.DEVNULL,
            process_group=0,  # a terminal's Ctrl-C is for the supervisor alone
            preexec_fn=die_with_parent(),  # safe where the parent has one thread, as the supervisor has
        )

    def kill(self) -> None:
        """SIGKILL for the child and what it started; it is started again."""
        if self._process is not None and not self._exited.is_set():
            _kill(self._process.pid)

    async def stop(self, patience: float) -> None:
        """SIGTERM, and SIGKILL for the child and what it started if it is there still after `patience` seconds."""
        self.leave()
        process = self._process
        if process is not None and not self._exited.is_set():
            # Not by the Popen object, which polls first: it would take the exit code of a child that has just died,
            # and whoever reaps would never see it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
            if not await wait_for(self._exited, patience):
                facts = {"pid": process.pid, "patience_seconds": patience}
                log.warning("%s does not stop, killing it", self.name, extra={"facts": facts})
                _kill(process.pid)
        await self.gone.wait()


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event was set in so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def die_with_parent() -> Callable[[], None] | None:
    """What a child runs before exec so that Linux kills it when its parent dies, however that happens."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def run() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return run
