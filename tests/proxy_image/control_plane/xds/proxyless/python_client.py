"""A gRPC client as a process of its own, as GRPC_XDS_BOOTSTRAP_CONFIG is read once a process.

Each line of its input is a JSON object (`target`, `method`, `count`, and what `XdsClient` in harness.py has); each line
of its output one too: how often which server, or which status with its message, answered, and the seconds of each call.
A `bootstrap` is that of the channels that it opens; `close` closes all of them first.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

_channels: dict[str, grpc.Channel] = {}


def main() -> None:
    server = _admin_server(os.environ.get("ADMIN"))
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["close"]:
            _close_all()
        answers: Counter[str] = Counter()
        seconds: list[float] = []
        pending: list[tuple[float, Any]] = []
        for _ in range(asked["count"]):
            pending.append((time.perf_counter(), _start(asked)))
            if not asked["parallel"]:
                _take(pending, answers, seconds)
            if asked["apart"]:
                time.sleep(asked["apart"])
        _take(pending, answers, seconds)
        print(json.dumps({"answers": answers, "seconds": seconds}), flush=True)
    if server is not None:
        server.stop(None)


def _admin_server(address: str | None) -> grpc.Server | None:
    """What `grpcdebug` asks, where an address for it is given."""
    if address is None:
        return None
    # Only here: a third of what the other clients would import.
    import grpc_csds  # type: ignore[import-untyped]  # it has no types

    server = grpc.server(ThreadPoolExecutor(1))
    grpc_csds.add_csds_servicer(server)
    server.add_insecure_port(address)
    server.start()
    return server


def _start(asked: dict[str, Any]) -> Any:
    target = asked["target"]
    if target not in _channels:
        _channels[target] = _channel(target, asked["cas"], asked["bootstrap"])
    call: Any = _channels[target].unary_unary(asked["method"])
    return call.future(
        b"",
        timeout=asked["timeout"],
        metadata=[(key, value.encode() if key.endswith("-bin") else value) for key, value in asked["metadata"]],
        wait_for_ready=asked["wait_for_ready"],
    )


def _take(pending: list[tuple[float, Any]], answers: Counter[str], seconds: list[float]) -> None:
    for started, call in pending:
        try:
            answers[call.result().decode()] += 1
        except grpc.RpcError as error:
            answers[f"{error.code().name}: {error.details()}"] += 1
        seconds.append(time.perf_counter() - started)
    pending.clear()


def _close_all() -> None:
    for channel in _channels.values():
        channel.close()
    _channels.clear()


def _channel(target: str, cas: str | None, bootstrap: str | None) -> grpc.Channel:
    options: list[tuple[str, Any]] = [("grpc.use_local_subchannel_pool", 1)]
    if bootstrap is not None:
        options.append(("grpc.TEST_ONLY_DO_NOT_USE_IN_PROD.xds_bootstrap_config", bootstrap))
    if cas is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(Path(cas).read_bytes()), options)


if __name__ == "__main__":
    main()
