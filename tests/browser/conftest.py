"""A page in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser.chromium import Page, running_chromium


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with running_chromium(tmp_path / "profile") as browser:
        page = await browser.page()
        await page.size(1180, 760)
        yield page
