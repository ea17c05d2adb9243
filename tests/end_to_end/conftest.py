"""The example's whole stack, and one of two small ones, each once for all tests of this folder that need it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_aws.layout import Layout
from local_aws.stack import LocalStack
from tests.browser.chromium import Browser, running_chromium
from tests.browser.conftest import page as page
from tests.end_to_end.example import example_up
from tests.local_aws.leftovers import remove
from tests.local_aws.synth import synthesise

TWO_STACKS = Path(__file__).with_name("two_stacks")


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with example_up("test-example", log=tmp_path_factory.mktemp("example") / "up.log") as up:
        yield up


@pytest.fixture(scope="package")
def two_stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    layout = Layout(app_folder=TWO_STACKS, name=f"test-two-stacks-{os.getpid()}")
    made = replace(layout, name=f"{layout.name}-made")
    layout = replace(layout, assembly=synthesise(made))
    with LocalStack.up(layout, log=tmp_path_factory.mktemp("two-stacks") / "log") as up:
        yield up
    remove(layout)
    remove(made)


# Not that of tests/browser: one fixture would put the tests of both folders into one process, one after the other.
@pytest.fixture(scope="package")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_chromium(tmp_path_factory.mktemp("chromium") / "profile") as browser:
        yield browser
