"""The wheel and an environment with it, made once a session, for tests/examples too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wheel import environment
from tests.wheel.environment import ROOT, Environment


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment.build("wheel", ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    return environment.make(tmp_path_factory.mktemp("fresh") / "venv", wheel)
