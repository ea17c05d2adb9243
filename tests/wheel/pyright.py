"""What pyright says of a package that is installed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.wheel.environment import HERE, ROOT, Environment

# With room for what it makes of aws-cdk-lib: V8's default of 16 MB for new objects has it collect garbage all the time.
PYRIGHT = (
    *(str(HERE / "node"), "--max-semi-space-size=64"),
    str(ROOT / "build/pyright/node_modules/pyright/index.js"),
)
PATIENCE_SECONDS = 600


def every_public_type_is_known(package: str, installed: Environment, folder: Path) -> None:
    """GIVEN the installed wheel, whose Python is the first on the path: --verifytypes does not heed --pythonpath."""
    ran = subprocess.run(
        [*PYRIGHT, "--verifytypes", package, "--ignoreexternal", "--outputjson"],
        cwd=folder,
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
    assert incomplete == {}, incomplete
    assert said["exportedSymbolCounts"]["withKnownType"] > 20, said["exportedSymbolCounts"]
    assert said["completenessScore"] == 1, ran.stdout[-3000:]
