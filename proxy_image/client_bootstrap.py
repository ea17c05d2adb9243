"""`python -m proxy_image.client_bootstrap FILE`: what a gRPC client without a proxy needs, with its task's zone.

The bootstrap of $GRPC_XDS_BOOTSTRAP_CONFIG, with the id and availability zone of the task that this runs in, is written
to FILE, which $GRPC_XDS_BOOTSTRAP of the client names. Without a zone to be had, the client is none's neighbour.
"""

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
    argv = sys.argv[1:] if argv is None else argv
    if len(argv) != 1:
        print("error: it must be called with one argument, the file to write", file=sys.stderr)
        return 2
    try:
        node = _node()
        text = with_place(os.environ.get(BOOTSTRAP, ""), node.id, node.zone)
        path = Path(argv[0])
        path.write_text(text)
        # The client may run as any user.
        path.chmod(0o644)
    except (OSError, ValueError) as error:
        print(f"error: the bootstrap of {BOOTSTRAP} must be JSON and {argv[0]} writable: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"event": "bootstrap written", "node": node.id, "zone": node.zone}))
    return 0


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
