"""`python -m rng_service.client ADDRESS` makes calls and shows which task answered how many."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

# What goes wrong is told once, in our words; gRPC's C core would add its own lines.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from rng_service.load import Load, LoadReport, Plan, UnreachableError
from rng_service.report import plural, render

PROGRESS_EVERY_SECONDS = 2.0
DEFAULT_CALLS = 100


def number(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], float]:
    def read(value: str) -> float:
        with suppress(ValueError):
            if least <= kind(value) <= most:
                return kind(value)
        raise argparse.ArgumentTypeError(f"must be {least}..{most}, got {value!r}")

    return read


def address(value: str) -> str:
    """HOST:PORT, or a target with a scheme, which gRPC itself checks (grpc/doc/naming.md)."""
    if re.match(r"[a-z][a-z0-9+.-]*:/", value):
        return value
    host, _, port = value.rpartition(":")
    if host == "" or not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise argparse.ArgumentTypeError(f"must be HOST:PORT or a gRPC target such as xds:///NAME, got {value!r}")
    return value


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m rng_service.client",
        description="Makes calls to rng.v1.RandomNumber and shows the share of each task, latencies and failures.",
        epilog="Exit code: 0 when no call failed, 1 when one did or there is no connection, 2 for a usage error.",
    )
    made.add_argument("address", metavar="ADDRESS", type=address, help="HOST:PORT, or a gRPC target: xds:///NAME")
    what = made.add_mutually_exclusive_group()
    what.add_argument(
        "--calls",
        metavar="N",
        type=number(int, 1, 10_000_000),
        help=f"make N Generate calls (default {DEFAULT_CALLS}; with --duration: as many as fit)",
    )
    what.add_argument(
        "--streams", metavar="N", type=number(int, 1, 10_000), help="make N Stream calls, all open at once"
    )
    made.add_argument(
        "--channels",
        metavar="N",
        type=number(int, 1, 1000),
        default=1,
        help="connections to share the calls (default 1)",
    )
    made.add_argument(
        "--rate",
        metavar="CALLS_PER_S",
        type=number(float, 0.001, 100_000),
        help="make calls at this rate (default: each channel makes one when its last one is over)",
    )
    made.add_argument(
        "--duration",
        metavar="S",
        type=number(float, 0.001, 86_400),
        help="stop after S seconds; a stream lasts S seconds (default 1)",
    )
    made.add_argument(
        "--timeout",
        metavar="S",
        type=number(float, 0.001, 86_400),
        default=10.0,
        help="deadline of a call (default 10)",
    )
    made.add_argument("--authority", metavar="NAME", help=":authority of the calls (default: the address)")
    made.add_argument("--json", action="store_true", help="print the result as JSON")
    return made


def plan(arguments: argparse.Namespace) -> Plan:
    calls = arguments.calls
    if calls is None and arguments.duration is None:
        calls = DEFAULT_CALLS
    return Plan(
        calls=calls,
        streams=arguments.streams if arguments.streams is not None else 0,
        channels=arguments.channels,
        rate=arguments.rate,
        duration=arguments.duration,
        timeout=arguments.timeout,
        authority=arguments.authority,
    )


async def run(to: str, what: Plan) -> LoadReport:
    """Run the load with a line of progress every two seconds; the first interrupt ends it early, with a report."""
    async with Load(to, what) as load:
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            load.stop()
            loop.remove_signal_handler(signal.SIGINT)

        loop.add_signal_handler(signal.SIGINT, interrupt)
        progress = asyncio.create_task(tell_progress(load))
        try:
            return await load.run()
        finally:
            progress.cancel()


async def tell_progress(load: Load) -> None:
    while True:
        await asyncio.sleep(PROGRESS_EVERY_SECONDS)
        so_far = load.report()
        print(
            f"{so_far.seconds:.0f} s: {plural(len(so_far.calls), 'call')} over, {len(so_far.failures)} failed, "
            f"{plural(len(so_far.tasks), 'task')} answered",
            file=sys.stderr,
        )


def main() -> int:
    arguments = parser().parse_args()
    try:
        report = asyncio.run(run(arguments.address, plan(arguments)))
    except UnreachableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(json.dumps(report.to_json()) if arguments.json else render(report, bar_character()))
    return 1 if report.failures else 0


def bar_character() -> str:
    try:
        "█".encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return "#"
    return "█"


if __name__ == "__main__":
    sys.exit(main())
