"""A proxyless gRPC client as a process of its own: GRPC_XDS_BOOTSTRAP_CONFIG is read once a process.

`python -m tests.proxy_image.control_plane.grpc_client TARGET METHOD [CAS]` makes as many calls as each line of its
input says, and answers with a line of JSON: how often which server answered.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import grpc


def main(target: str, method: str, cas: str | None = None) -> None:
    with _channel(target, cas) as channel:
        call: Any = channel.unary_unary(method)
        for line in sys.stdin:
            answers: Counter[str] = Counter()
            for _ in range(int(line)):
                try:
                    answers[call(b"", timeout=60, wait_for_ready=True).decode()] += 1
                except grpc.RpcError as error:
                    answers[f"{error.code()} {error.details()}"] += 1
            print(json.dumps(answers), flush=True)


def _channel(target: str, cas: str | None) -> grpc.Channel:
    if cas is None:
        return grpc.insecure_channel(target)
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(Path(cas).read_bytes()))


if __name__ == "__main__":
    main(*sys.argv[1:])
