"""One run at a time in a checkout, and who it is."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import IO

from local_aws.errors import LocalAwsError
from local_aws.process import processes

CLEANING_SECONDS = 15.0


def take(file: Path) -> IO[str]:
    """The lock, held as long as the file (or a child's copy of it) is open.

    A run that was killed hands the lock to its guard for the second it needs to clean up: that is waited for.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    held = file.open("a+")
    deadline = time.monotonic() + CLEANING_SECONDS
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if (holder := owner(file)) is not None:
                held.close()
                raise LocalAwsError(f"it is up already (process {holder}); stop it: make down") from None
            if time.monotonic() > deadline:
                held.close()
                raise LocalAwsError(
                    f"the run before must be cleaned up, got {file.name} locked; try: make down"
                ) from None
            time.sleep(0.1)
        else:
            held.seek(0)
            held.truncate()
            json.dump({"pid": os.getpid(), "started": processes.start_time(os.getpid())}, held)
            held.flush()
            return held


def owner(file: Path) -> int | None:
    """The process that took the lock, if it is still there: its start time tells it from a recycled id."""
    try:
        written = json.loads(file.read_text())
        pid, started = int(written["pid"]), written["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (
        pid if started is not None and processes.start_time(pid) == started and not processes.is_zombie(pid) else None
    )


def is_free(file: Path) -> bool:
    try:
        with file.open("a+") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
