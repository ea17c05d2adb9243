"""Every public name of the wheel has a type that each type checker reads alike, so that nothing is Unknown to users.

Run by `make types`: pyright reads all of aws-cdk-lib for it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wheel.environment import Environment
from tests.wheel.pyright import PATIENCE_SECONDS, every_public_type_is_known


@pytest.mark.timeout(PATIENCE_SECONDS)
@pytest.mark.parametrize("package", ["cdk_grpc_lb", "grpc_lb_contract"])
def test_pyright_knows_every_public_type(package: str, installed: Environment, tmp_path: Path) -> None:
    every_public_type_is_known(package, installed, tmp_path)
