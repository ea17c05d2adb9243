"""python -m local_aws.containers: everything from a bare Debian machine to the demo's claims with containers."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

from local_aws.containers import machine, podman
from local_aws.containers.images import build
from local_aws.containers.namespaces import in_own
from local_aws.containers.places import BUILT, CACHE, CLAIMS, FIGURES, LOCK, RUN, SHORT, TESTS
from local_aws.errors import LocalAwsError
from local_aws.layout import ROOT, Layout
from local_aws.process import lock
from local_aws.process.processes import dies_with_us
from local_aws.progress import say

CANNOT = 3


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "make containers",
        description="build the images with podman, and play the demo with tasks and balancers as containers; "
        "exit code 0 only if every claim held",
    )
    parser.add_argument(
        "--can", action="store_true", help=f"only say whether this machine can: exit code 0, or {CANNOT} and why not"
    )
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--images", action="store_true", help="only build the images")
    part.add_argument(TESTS, action="store_true", help="build the images and test them, without the demo")
    part.add_argument(CLAIMS, action="store_true", help="build the images and play the demo, without the tests of them")
    parser.add_argument(
        SHORT, action="store_true", help="of the demo only what shows the problem and its cure, a stop and two kills"
    )
    parser.add_argument(
        "--as-built", action="store_true", help="with the images and the app of the last run: nothing is built"
    )
    options = parser.parse_args(arguments)
    if options.images and options.as_built:
        parser.error("--images builds and --as-built does not: give one of them")
    try:
        problem = machine.why_not()
        if problem is not None:
            print(f"error: {problem}", file=sys.stderr)
            return CANNOT if options.can else 1
        if options.can:
            return 0
        parts = {TESTS: options.tests, CLAIMS: options.claims, SHORT: options.short}
        inside = [option for option, given in parts.items() if given]
        return asyncio.run(_all(None if options.images else inside, as_built=options.as_built))
    except LocalAwsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; nothing is left running", file=sys.stderr)
        return 130


async def _all(inside: Sequence[str] | None, *, as_built: bool) -> int:
    """The images, and then, unless it is None, what is asked for inside the namespaces."""
    started = time.monotonic()
    with _once():
        CACHE.mkdir(parents=True, exist_ok=True)
        FIGURES.unlink(missing_ok=True)
        Layout().check_tools()
        if not as_built:
            await machine.install_missing()
            await build.build_all(Layout())
        elif not BUILT.exists():
            raise LocalAwsError("the images must be built before they are used --as-built, got none; leave it out once")
        if inside is None:
            return 0
        code = await _run_inside(inside)
        seconds = round(time.monotonic() - started, 1)
        add_to_figures({"seconds_in_all": seconds, "images": json.loads(BUILT.read_text())})
    say(f"make containers: {seconds:.0f} s in all")
    return code


def add_to_figures(more: Mapping[str, Any]) -> None:
    """To those of the demo, where it came so far."""
    if FIGURES.exists():
        figures = json.loads(FIGURES.read_text()) | dict(more)
        FIGURES.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")


def _once() -> IO[str]:
    try:
        return lock.take(LOCK)
    except LocalAwsError as error:
        holder = lock.owner(LOCK)
        if holder is None:
            raise
        raise LocalAwsError(
            f"make containers must run once at a time in a checkout, got one that runs (process {holder}); "
            f"wait for it, or stop it: kill {holder}"
        ) from error


async def _run_inside(arguments: Sequence[str]) -> int:
    """Play in the namespaces, and come back only when they are gone."""
    reader, writer = os.pipe()
    inside = [sys.executable, "-m", "local_aws.containers.inside", "run"]
    process = await asyncio.create_subprocess_exec(
        *dies_with_us(in_own([*inside, sys.executable, "-m", "local_aws.containers.play", *arguments], network=True)),
        cwd=ROOT,
        env=os.environ | podman.environment(podman.TO_RUN) | {"LOCAL_AWS_IN_NAMESPACES": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=[writer],
    )
    os.close(writer)
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        # Its other end is open in the namespaces' first process, for as long as there is any in them.
        await asyncio.to_thread(os.read, reader, 1)
        os.close(reader)
        RUN.state.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
