"""Looking at a page until it shows what it should, and keeping pictures of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tests.browser.chromium import Page
from tests.proxy_image.control_plane.support import eventually
from tests.waiting import PATIENCE_SECONDS

WIDTHS = "[...document.querySelectorAll('.bar .fill')].map(each => each.getAttribute('width'))"
PERCENT = f"{WIDTHS}.map(width => Math.round(width))"
HALVES = f"{WIDTHS}.map(width => Math.round(width / 5) * 5)"
FIRST_PROBLEM = "(document.querySelector('main .problem h2') || {textContent: ''}).textContent"
LIVE = "document.getElementById('live').textContent"


async def shows(page: Page, expression: str, value: object, seconds: float = PATIENCE_SECONDS) -> None:
    async def shown() -> bool:
        return bool(await page.run(expression) == value)

    await eventually(shown, f"{expression} = {value!r}", seconds)


def text_within(selector: str, text: str) -> str:
    """Whether an element that the selector finds has this text."""
    return f"[...document.querySelectorAll({selector!r})].some(each => each.textContent.includes({text!r}))"


async def keep_screenshot(page: Page, name: str, *, once: tuple[str, object] = ("true", True)) -> None:
    """Into the folder that SCREENSHOTS names, where it is set, once an expression has this value."""
    folder = os.environ.get("SCREENSHOTS")
    if folder is not None:
        await shows(page, *once)
        # An animation whose element is replaced meanwhile ends with an error.
        await page.run("Promise.allSettled(document.getAnimations().map(each => each.finished))")
        picture = await page.screenshot()
        await asyncio.to_thread(Path(folder, f"{name}.webp").write_bytes, picture)
