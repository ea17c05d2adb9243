from __future__ import annotations

from pathlib import Path

import pytest

import lambda_src
from tests.imports import imported_at_start

MODULES = sorted(Path(lambda_src.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_the_lambda_needs_the_contract_and_boto3_and_nothing_else(module: Path) -> None:
    # GIVEN what a module imports when it runs, THEN all of it is in the asset or in Lambda's runtime
    assert imported_at_start(module) <= {
        "lambda_src",
        "grpc_lb_contract",
        "traefik_labels",
        "boto3",
        "botocore",
    }
