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
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
ANSWER_SECONDS = 60

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

    @property
    def said(self) -> list[str]:
        """What the page wrote to the console or the browser complained of."""
        return self._browser.said


class Browser:
    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._text = b""
        self.said: list[str] = []
        asyncio.get_running_loop().add_reader(answers, self._read)

    async def command(self, method: str, params: dict[str, Any] | None = None, session: str | None = None) -> Any:
        number = next(self._ids)
        message = {
            "id": number,
            "method": method,
            "params": params or {},
            **({"sessionId": session} if session else {}),
        }
        self._waiting[number] = asyncio.get_running_loop().create_future()
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        answer = await asyncio.wait_for(self._waiting[number], ANSWER_SECONDS)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    async def page(self) -> Page:
        target = await self.command("Target.createTarget", {"url": "about:blank"})
        attached = await self.command("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        page = Page(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            await page.command(f"{domain}.enable")
        return page

    def _read(self) -> None:
        part = os.read(self._answers, 1 << 20)
        if not part:
            asyncio.get_running_loop().remove_reader(self._answers)
        *messages, self._text = (self._text + part).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message and not self._waiting[message["id"]].done():
                self._waiting.pop(message["id"]).set_result(message)
            elif message.get("method") == "Log.entryAdded":
                self.said.append(message["params"]["entry"]["text"])
            elif message.get("method") == "Runtime.exceptionThrown":
                self.said.append(json.dumps(message["params"]["exceptionDetails"]))


def find_chromium() -> str:
    for name in NAMES:
        if (path := shutil.which(name)) is not None:
            return path
    raise FileNotFoundError(f"one of {', '.join(NAMES)} must be installed for the browser tests, got none on PATH")


@asynccontextmanager
async def running_chromium(profile: Path) -> AsyncIterator[Browser]:
    """profile: a directory of its own."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    process = _start(profile, theirs_in, theirs_out)
    os.close(theirs_in)
    os.close(theirs_out)
    browser = Browser(ours_out, ours_in)
    try:
        yield browser
    finally:
        asyncio.get_running_loop().remove_reader(ours_in)
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
