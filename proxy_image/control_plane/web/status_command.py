"""`python -m proxy_image status`: what the page shows, as a table in the terminal."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import ipaddress
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

from proxy_image.control_plane.report.problems import Urgency
from proxy_image.control_plane.web.status_lines import fleet_lines, lines

ANSWER_SECONDS = 5
FAILED = 1
USAGE = 2
ERROR = 3
WARNING = 4
WATCH_SECONDS = 2.0
MIN_WATCH_SECONDS, MAX_WATCH_SECONDS = 0.2, 3600.0


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 shown, 1 no balancer answers there, 2 wrong usage, 3 shown and it reports an error, 4 a warning."""
    try:
        code = _run(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` has. Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _run(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m proxy_image status",
        description="Shows the state of a balancer task and of the others: services, targets, shares, problems.",
        epilog="Exit codes: 0 all is well, 1 no balancer answers, 2 wrong usage, 3 a balancer reports an error, 4 "
        "a warning; a service that nobody calls and that has no task is neither.",
    )
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the balancer's web port; default %(default)s")
    parser.add_argument("--service", metavar="NAME", help="only this service, with the history of its targets")
    parser.add_argument("--changes", type=int, default=1, metavar="N", help="the last N changes; default %(default)s")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=float,
        const=WATCH_SECONDS,
        metavar="SECONDS",
        help=f"repeat every {WATCH_SECONDS:g} seconds, or every SECONDS, until Ctrl-C",
    )
    arguments = parser.parse_args(argv)
    if arguments.watch is not None and not MIN_WATCH_SECONDS <= arguments.watch <= MAX_WATCH_SECONDS:
        return _fail(
            USAGE, f"--watch must be {MIN_WATCH_SECONDS:g}..{MAX_WATCH_SECONDS:g} seconds, got {arguments.watch:g}"
        )
    if not _is_url(arguments.url):
        return _fail(USAGE, f"--url must be such as http://127.0.0.1:8080, got {arguments.url!r}")
    if arguments.watch is None:
        return _show(arguments)
    code = 0
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            if sys.stdout.isatty():
                print("\x1b[H\x1b[2J", end="")
            code = _show(arguments)
            sys.stdout.flush()
            time.sleep(arguments.watch)
    return code


def _is_url(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError:  # a bracket without its other
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def worst(report: dict[str, Any], fleet: list[dict[str, Any]]) -> int:
    """The exit code of the worst problem of any balancer."""
    found = {problem["severity"] for problem in report["problems"] if problem["urgency"] < Urgency.NOBODY_CALLS}
    found |= {member["summary"]["worst"] for member in fleet[1:] if member["summary"] is not None}
    return ERROR if "error" in found else WARNING if "warning" in found else 0


def _get(url: str) -> Any:
    # A proxy that the environment names is for the internet: its 127.0.0.1 is another machine.
    handlers = [urllib.request.ProxyHandler({})] if _is_private(url) else []
    with urllib.request.build_opener(*handlers).open(url, timeout=ANSWER_SECONDS) as answer:
        return json.load(answer)


def _is_private(url: str) -> bool:
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def _show(arguments: argparse.Namespace) -> int:
    url = f"{arguments.url.rstrip('/')}/api/report"
    try:
        report, fleet = _get(url), _get(f"{arguments.url.rstrip('/')}/api/fleet")
        if arguments.service is not None:
            report["services"] = [each for each in report["services"] if each["name"] == arguments.service]
            if not report["services"]:
                return _fail(FAILED, f"--service must be one of the balancer's, got {arguments.service!r}")
        shown = [*fleet_lines(fleet), *lines(report, changes=arguments.changes, history=arguments.service is not None)]
        text = json.dumps(report, indent=1) if arguments.json else "\n".join(shown)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        return _fail(FAILED, f"{url} must answer with a balancer's report, got: {error}")
    print(text)
    return worst(report, fleet)


def _fail(code: int, problem: str) -> int:
    print(f"error: {problem}", file=sys.stderr)
    return code
