"""Commands that end with us, and tell their last lines when they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from local_aws.errors import LocalAwsError
from local_aws.process.processes import dies_with_us

TAIL_LINES = 25


async def run(
    *command: str, log: Path, environment: Mapping[str, str], folder: Path | None = None, what: str | None = None
) -> None:
    """Raises LocalAwsError unless the exit code is 0; the command's output goes to LOG."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *dies_with_us(command),
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if code != 0:
        raise LocalAwsError(
            f"{what or command[0]} must succeed, got exit code {code} (all of it: {log})\n  {tail(log)}"
        )


def tail(log: Path) -> str:
    if not log.exists():
        return "(there is no log)"
    return "\n  ".join(log.read_text(errors="replace").strip().splitlines()[-TAIL_LINES:])


async def output_of(*command: str) -> str:
    """Raises LocalAwsError unless the exit code is 0."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode != 0:
        raise LocalAwsError(f"{' '.join(command)} must succeed, got '{errors.decode(errors='replace').strip()}'")
    return output.decode()
