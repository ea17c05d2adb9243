"""The example's whole stack, once for all tests of this folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from local_aws.layout import Layout
from local_aws.stack import LocalStack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    layout = Layout(name=f"test-example-{os.getpid()}")
    with LocalStack.up(layout, log=tmp_path_factory.mktemp("example") / "up.log") as up:
        yield up
    shutil.rmtree(layout.run, ignore_errors=True)
    layout.lock.unlink(missing_ok=True)
