"""axe-core's findings on a page: what is in the way of those who cannot see it, or use no mouse.

https://github.com/dequelabs/axe-core, installed by `make setup`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.browser.chromium import Page

AXE = Path(__file__).parents[2] / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"


async def findings(page: Page) -> list[str]:
    """One line for each rule that the page breaks, with the elements that do."""
    if not await page.run("'axe' in window"):
        await page.run(f"{await asyncio.to_thread(AXE.read_text)}; 1")
    found = await page.run(
        "axe.run({resultTypes: ['violations']}).then(result => result.violations.map(each => "
        "`${each.id} (${each.impact}): ${each.nodes.map(node => node.html).slice(0, 3).join(' | ')}`))"
    )
    return list(found)
