"""The example's whole stack, once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_aws.stack import LocalStack
from tests.browser.chromium import Browser, running_chromium
from tests.browser.conftest import page as page
from tests.end_to_end.example import example_up


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with example_up("test-example", log=tmp_path_factory.mktemp("example") / "up.log") as up:
        yield up


@pytest.fixture(scope="package")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_chromium(tmp_path_factory.mktemp("chromium") / "profile") as browser:
        yield browser
