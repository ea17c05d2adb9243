from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import traefik_labels

MODULES = sorted(Path(traefik_labels.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_the_translation_needs_the_contract_and_nothing_else(module: Path) -> None:
    """GIVEN the Lambda's asset, which has no packages, THEN what a module imports is there."""
    imported: set[str] = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names <= {"traefik_labels", "grpc_lb_contract"}
