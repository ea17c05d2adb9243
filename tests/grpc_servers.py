"""What the gRPC servers of tests have in common."""

from __future__ import annotations

from typing import Any, Final

SERVER_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    # Two servers on one port would share its calls without a word.
    ("grpc.so_reuseport", 0),
    # By default a server of C-core cancels calls by chance once 1,000 wait for it to take them up, among them some that
    # their callers have cancelled meanwhile: on a busy machine a few hundred new calls a second are enough.
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 200_000),
)
