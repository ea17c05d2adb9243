"""Every public name of the wheel has a type that each type checker reads alike, so that nothing is Unknown to users."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.wheel.environment import HERE, ROOT, Environment

PYRIGHT = ROOT / "build/node/node_modules/pyright/index.js"
PATIENCE_SECONDS = 600


@pytest.mark.timeout(PATIENCE_SECONDS)
@pytest.mark.parametrize("package", ["cdk_grpc_lb", "grpc_lb_contract", "traefik_labels"])
def test_pyright_knows_every_public_type(package: str, installed: Environment, tmp_path: Path) -> None:
    """GIVEN the installed wheel, whose Python is the first on the path: --verifytypes does not heed --pythonpath."""
    ran = subprocess.run(
        [str(HERE / "node"), str(PYRIGHT), "--verifytypes", package, "--ignoreexternal", "--outputjson"],
        cwd=tmp_path,
        env=installed.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads(ran.stdout)["typeCompleteness"]
    incomplete = {
        symbol["name"]: [diagnostic["message"] for diagnostic in symbol["diagnostics"]]
        for symbol in said["symbols"]
        if symbol["isExported"] and not symbol["isTypeKnown"]
    }
    assert incomplete == {}
    assert said["exportedSymbolCounts"]["withKnownType"] > 20
    assert said["completenessScore"] == 1, ran.stdout[-3000:]
