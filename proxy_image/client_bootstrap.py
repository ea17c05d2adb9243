"""Writes the xDS bootstrap of a gRPC client without a proxy, with its task's zone.

The bootstrap in $GRPC_XDS_BOOTSTRAP_CONFIG gets the id and the availability zone of the ECS task that this runs in, and
is written to FILE. The client reads it if its $GRPC_XDS_BOOTSTRAP names FILE. If the zone is unknown, it stays empty:
the client then prefers no zone.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from grpc_lb_contract.proxyless import BOOTSTRAP, with_place
from proxy_image.envoy.bootstrap import Node
from proxy_image.machine import is_on_ecs, read_task

# ECS may not know a task that has just started; a client that waits longer is worse off than one without a zone.
TRIES = 5
PAUSE_SECONDS = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 once the file is there, 2 where it cannot be made."""
    path = Path(_parser().parse_args(argv).file)
    node = _node()
    try:
        text = with_place(os.environ.get(BOOTSTRAP, ""), node.id, node.zone)
    except ValueError as error:
        print(f"error: {BOOTSTRAP} {error}", file=sys.stderr)
        return 2
    try:
        path.write_text(text)
        # The client may run as any user.
        path.chmod(0o644)
    except OSError as error:
        print(f"error: FILE must be a file to write to, got {path}: {error.strerror}", file=sys.stderr)
        return 2
    print(json.dumps({"event": "bootstrap written", "node": node.id, "zone": node.zone}))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m proxy_image.client_bootstrap",
        description=__doc__,
        epilog="Exit codes: 0 the file is written, 2 it cannot be.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the file to write; every user may read it")
    return parser


def _node() -> Node:
    node = read_task(os.environ).node
    for _ in range(TRIES - 1 if is_on_ecs(os.environ) else 0):
        if node.zone:
            break
        time.sleep(PAUSE_SECONDS)
        node = read_task(os.environ).node
    return node


if __name__ == "__main__":
    sys.exit(main())
