"""pyright on the fifteen apps of docs/apps.md. Run by `make types`, which has mypy read them too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apps.pages import write_apps
from tests.wheel.environment import ROOT
from tests.wheel.pyright import PATIENCE_SECONDS, PYRIGHT


@pytest.mark.timeout(PATIENCE_SECONDS)
def test_pyright_has_nothing_to_say_of_the_apps(tmp_path: Path) -> None:
    write_apps(tmp_path)
    settings = {"extraPaths": [str(ROOT)], "typeCheckingMode": "standard"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    ran = subprocess.run(
        [*PYRIGHT, "--pythonpath", sys.executable, "--project", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
