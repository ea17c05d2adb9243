from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.hostile.stage import Stage, stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on_stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One balancer for all attacks of a module: what one leaves behind, the next one finds."""
    async with stage(tmp_path_factory.mktemp("hostile")) as made:
        yield made
