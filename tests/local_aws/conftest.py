"""One small stack for all tests of this folder that need one; it ends with them, as it takes CPU while it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_aws.layout import Layout
from local_aws.stack import LocalStack
from tests.local_aws.leftovers import remove
from tests.local_aws.synth import synthesise

SMALL_APP = Path(__file__).with_name("small_app")


def small_layout(name: str) -> Layout:
    return Layout(app_folder=SMALL_APP, name=f"test-{name}-{os.getpid()}")


@pytest.fixture(scope="package")
def assembly() -> Iterator[Path]:
    """Of the small app. The stack of the example, in tests/end_to_end, is synthesised by the CDK CLI."""
    layout = small_layout("assembly")
    yield synthesise(layout)
    remove(layout)


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory, assembly: Path) -> Iterator[LocalStack]:
    layout = replace(small_layout("small"), assembly=assembly)
    log = tmp_path_factory.mktemp("small") / "up.log"
    with LocalStack.up(layout, log=log) as up:
        yield up
    remove(layout)
