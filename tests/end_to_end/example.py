"""The example's whole stack, for tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_aws.layout import Layout
from local_aws.stack import LocalStack
from tests.local_aws.leftovers import remove


@contextmanager
def example_up(name: str, *, log: Path) -> Iterator[LocalStack]:
    """It leaves nothing behind; `name` tells it from others that run at once."""
    layout = Layout(name=f"{name}-{os.getpid()}")
    with LocalStack.up(layout, log=log) as up:
        yield up
    remove(layout)
