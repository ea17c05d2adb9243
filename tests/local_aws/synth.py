"""What `cdk synth` has an app write, without the CLI around it, whose start takes as long as the app."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from local_aws.layout import Layout


def synthesise(layout: Layout) -> Path:
    """The assembly of the layout's app, in the layout's folder."""
    assembly = layout.run / "cdk.out"
    environment = {
        **os.environ,
        "PATH": f"{layout.venv}:{os.environ['PATH']}",  # its Node, whatever the machine has
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(layout.bytecode),
        "CDK_OUTDIR": str(assembly),
        "CDK_VALIDATION": "false",
    }
    done = subprocess.run(
        [str(layout.venv / "python"), "app.py"],
        cwd=layout.app_folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return assembly
