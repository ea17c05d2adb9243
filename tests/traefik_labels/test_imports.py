from __future__ import annotations

from pathlib import Path

import pytest

import traefik_labels
from tests.imports import imported_at_start

MODULES = sorted(Path(traefik_labels.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_the_translation_needs_the_contract_and_nothing_else(module: Path) -> None:
    """GIVEN the Lambda's asset, which has no packages, THEN what a module imports is there."""
    assert imported_at_start(module) <= {"traefik_labels", "grpc_lb_contract"}
