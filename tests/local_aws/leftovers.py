"""What a stack of a test leaves under build/, and an end of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from local_aws.layout import Layout


def remove(layout: Layout) -> None:
    shutil.rmtree(layout.run, ignore_errors=True)
    # Python names compiled files after the whole path of their source: here a deployed asset's.
    shutil.rmtree(Path(f"{layout.bytecode}{layout.run}"), ignore_errors=True)
    layout.lock.unlink(missing_ok=True)
