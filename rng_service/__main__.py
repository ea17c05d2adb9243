"""`python -m rng_service` serves random numbers until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys

# gRPC's C core would put its own lines around ours, in another style, for what we tell in one line.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from rng_service.identity import TaskIdError, host_name, read_task_id
from rng_service.server import ListenError, serve
from rng_service.settings import HELP, Settings, SettingsError, read_settings

log = logging.getLogger("rng_service")


def task_name(settings: Settings) -> str:
    if settings.served_by is not None:
        return settings.served_by
    try:
        task = read_task_id(os.environ)
    except TaskIdError as error:
        log.warning("%s; `served-by` is the host name", error)
        task = None
    return task if task is not None else host_name()


def main() -> int:
    argparse.ArgumentParser(
        prog="python -m rng_service",
        description="Serves random numbers over gRPC: rng.v1.RandomNumber, with health and reflection.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%Y/%m/%d %H:%M:%S")
    if os.getpid() == 1:
        # A container's first process inherits what others leave behind. It starts none itself: the kernel may reap.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    logging.raiseExceptions = False  # a reader of the log that went away is no reason to fill stderr with tracebacks
    try:
        settings = read_settings(os.environ)
        asyncio.run(serve(settings, task_name(settings)))
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ListenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
