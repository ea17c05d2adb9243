"""`python -m proxy_image.control_plane`: settings from the environment, JSON logs on stderr."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys

from proxy_image import logs
from proxy_image.settings import Settings, SettingsError, from_environment

USAGE = 2
FAILED = 1
GARBAGE_AFTER_OBJECTS = 20_000


def main() -> int:
    """Exit code: 0 after SIGTERM, 2 where a setting or the targets file is wrong, 1 where it cannot run."""
    try:
        settings = from_environment()
    except SettingsError as error:
        return _fail(USAGE, *error.problems)
    logs.configure("control plane", settings.log_level)
    # gRPC tells of its event loop for every object it makes.
    logging.getLogger("grpc").setLevel(logging.INFO)
    for name in ("botocore", "boto3", "urllib3", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return _run(settings)


def _run(settings: Settings) -> int:
    # What is imported stays, and a reading of a large fleet makes tens of thousands of objects without a cycle: looking
    # through all of them for garbage took a fifth of what open pages cost.
    gc.disable()
    # Only here: a wrong setting is told without them.
    from proxy_image.control_plane.app import run
    from proxy_image.control_plane.sources.sink import WrongSettingError

    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER_OBJECTS)
    gc.enable()
    try:
        asyncio.run(run(settings))
    except WrongSettingError as error:
        return _fail(USAGE, str(error))
    except OSError as error:
        return _fail(FAILED, str(error))
    return 0


def _fail(code: int, *problems: str) -> int:
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
