"""Stops what `up` started, also after a crash."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

from local_aws.layout import Layout
from local_aws.process import lock, processes
from local_aws.process.processes import RUN_MARK

STOP_SECONDS = 15.0


def down(layout: Layout) -> bool:
    """Whether there was anything to stop. Only what carries this checkout's mark is killed."""
    found = False
    holder = lock.owner(layout.lock) if not lock.is_free(layout.lock) else None
    for interrupt in (signal.SIGTERM, signal.SIGKILL):
        if holder is not None and not lock.is_free(layout.lock):
            found = True
            with suppress(ProcessLookupError):
                os.kill(holder, interrupt)
            _wait_until_free(layout.lock)
    found = processes.kill_marked(RUN_MARK, str(layout.run)) > 0 or found
    layout.state.unlink(missing_ok=True)
    with suppress(OSError):
        runtime = Path((layout.run / "runtime").read_text())
        if runtime.name.startswith("grpc-lb-"):
            shutil.rmtree(runtime, ignore_errors=True)
    return found


def _wait_until_free(file: Path) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while not lock.is_free(file) and time.monotonic() < deadline:
        time.sleep(0.1)
