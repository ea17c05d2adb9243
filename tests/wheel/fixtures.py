"""The wheel and an environment with it, made once a session for tests/wheel, tests/apps and tests/examples alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.wheel import environment
from tests.wheel.environment import ROOT, Environment


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout at one moment, with the byte code that lies about in it: someone may be at work in the other one."""
    copy = tmp_path_factory.mktemp("source")
    for name in environment.SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("cdk.out", ".venv"))
        else:
            shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    return environment.build("wheel", source, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    return environment.make(tmp_path_factory.mktemp("fresh") / "venv", wheel)
