"""Tests of the images need podman, the images, and namespaces of their own: `make containers` runs them in there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from local_aws.containers.places import BUILT

WHY = "they need what `make containers` sets up, which runs them"
NEEDS_PODMAN = "needs_podman"
_deselected: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{NEEDS_PODMAN}: runs real containers, so only inside `make containers`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "LOCAL_AWS_IN_NAMESPACES" in os.environ:
        return
    left_out = [item for item in items if item.get_closest_marker(NEEDS_PODMAN) is not None]
    items[:] = [item for item in items if item not in left_out]
    _deselected.extend(item.nodeid for item in left_out)
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _deselected:
        terminalreporter.write_line(f"{len(_deselected)} tests of real containers were left out: {WHY}", yellow=True)


def podman(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = ("podman", *arguments)
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    assert not check or ran.returncode == 0, ran.stderr
    return ran


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """Each image's tag by the folder of its Dockerfile."""
    return {name: made["image"] for name, made in json.loads(BUILT.read_text()).items()}
