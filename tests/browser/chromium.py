"""A headless Chromium, driven by the DevTools protocol over a pipe: no driver, no port, nothing to install but itself.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE_SECONDS

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=SpareRendererForSitePerProcess",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)

# Chromium reads commands from descriptor 3 and writes answers to 4; it goes when the tests go.
_EXEC = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); r, w = int(sys.argv[1]), int(sys.argv[2]); "
    "a, b = os.dup(r), os.dup(w); os.dup2(a, 3); os.dup2(b, 4); "
    "os.set_inheritable(3, True); os.set_inheritable(4, True); os.execv(sys.argv[3], sys.argv[3:])"
)


class Page:
    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.said = browser.said_in(session)
        """What the page wrote to the console or the browser complained of."""

    async def command(self, method: str, **params: Any) -> Any:
        return await self._browser.command(method, params, self._session)

    async def open(self, url: str) -> None:
        await self.command("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """The value of an expression in the page; raises what it throws."""
        answer = await self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def size(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        scale = 2 if phone else 1
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.command("Emulation.setEmulatedMedia", features=features)

    async def screenshot(self, *, whole: bool = True) -> bytes:
        """A WebP picture."""
        answer = await self.command("Page.captureScreenshot", format="webp", quality=60, captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])


class Browser:
    """A running Chromium. One test after another may use it, each in an event loop of its own."""

    def __init__(self, commands: int, answers: int) -> None:
        self._fds = commands, answers
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._text = b""
        self._said: dict[str, list[str]] = {}
        self._commands: asyncio.WriteTransport | None = None

    @asynccontextmanager
    async def page(self) -> AsyncIterator[Page]:
        """A page in a tab of its own. A browser keeps data by origin, and each test's servers have other ports."""
        async with self._connected():
            target = await self.command("Target.createTarget", {"url": "about:blank"})
            attached = await self.command("Target.attachToTarget", {**target, "flatten": True})
            page = Page(self, attached["sessionId"])
            for domain in ("Page", "Runtime", "Log"):
                await page.command(f"{domain}.enable")
            try:
                yield page
            finally:
                await self.command("Target.closeTarget", target)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        loop, (commands, answers) = asyncio.get_running_loop(), self._fds
        # A pipe holds less than a long command. Of a plain write a part is lost where a signal interrupts it, as where
        # this process is stopped and continues, and Chromium waits for the rest.
        pipe = os.fdopen(os.dup(commands), "wb", 0)
        self._commands, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, pipe)
        loop.add_reader(answers, self._read, loop)
        try:
            yield
        finally:
            loop.remove_reader(answers)
            self._commands.abort()
            self._waiting.clear()

    async def command(self, method: str, params: dict[str, Any] | None = None, session: str | None = None) -> Any:
        assert self._commands is not None
        number = next(self._ids)
        message = {
            "id": number,
            "method": method,
            "params": params or {},
            **({"sessionId": session} if session else {}),
        }
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._commands.write(json.dumps(message).encode() + b"\0")
        answer = await asyncio.wait_for(self._waiting[number], PATIENCE_SECONDS)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def said_in(self, session: str) -> list[str]:
        return self._said.setdefault(session, [])

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        part = os.read(self._fds[1], 1 << 20)
        if not part:
            loop.remove_reader(self._fds[1])
        *messages, self._text = (self._text + part).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                waiting = self._waiting.pop(message["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            elif message.get("method") == "Log.entryAdded":
                self.said_in(message["sessionId"]).append(message["params"]["entry"]["text"])
            elif message.get("method") == "Runtime.exceptionThrown":
                self.said_in(message["sessionId"]).append(json.dumps(message["params"]["exceptionDetails"]))


def find_chromium() -> str:
    for name in NAMES:
        if (path := shutil.which(name)) is not None:
            return path
    raise FileNotFoundError(f"one of {', '.join(NAMES)} must be installed for the browser tests, got none on PATH")


@contextmanager
def running_chromium(profile: Path) -> Iterator[Browser]:
    """profile: a directory of its own."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    process = _start(profile, theirs_in, theirs_out)
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(ours_out, ours_in)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours_out)
        os.close(ours_in)


def _start(profile: Path, commands: int, answers: int) -> subprocess.Popen[bytes]:
    command = [find_chromium(), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with (profile.parent / "chromium.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-ISc", _EXEC, str(commands), str(answers), *command],
            pass_fds=(commands, answers),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
