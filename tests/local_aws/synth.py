"""What `cdk synth` has an app write, without the CLI around it, whose start takes as long as the app."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from local_aws.deploy.synth_environment import synth_environment
from local_aws.layout import Layout


def synthesise(layout: Layout) -> Path:
    """The assembly of the layout's app, in the layout's folder."""
    assembly = layout.run / "cdk.out"
    done = subprocess.run(
        [str(layout.venv / "python"), "app.py"],
        cwd=layout.app_folder,
        env=os.environ | synth_environment(layout) | {"CDK_OUTDIR": str(assembly)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return assembly
