"""The example's whole stack, for tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_aws.layout import Layout
from local_aws.stack import LocalStack


@contextmanager
def example_up(name: str, *, log: Path) -> Iterator[LocalStack]:
    """It leaves nothing behind; `name` tells it from others that run at once."""
    layout = Layout(name=f"{name}-{os.getpid()}")
    with LocalStack.up(layout, log=log) as up:
        yield up
    shutil.rmtree(layout.run, ignore_errors=True)
    layout.lock.unlink(missing_ok=True)
