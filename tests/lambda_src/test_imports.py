from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import lambda_src

MODULES = sorted(Path(lambda_src.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_the_lambda_needs_the_contract_and_boto3_and_nothing_else(module: Path) -> None:
    # GIVEN what a module imports when it runs (stubs are imported by type checkers alone, inside an `if`)
    imported: set[str] = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    # THEN it is all in the asset, in Lambda's runtime, or in the standard library
    assert imported - sys.stdlib_module_names <= {
        "lambda_src",
        "grpc_lb_contract",
        "traefik_labels",
        "boto3",
        "botocore",
    }
