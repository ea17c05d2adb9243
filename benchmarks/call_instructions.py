"""How many instructions Envoy executes for a call: this balancer, with one thing changed, and Envoy as it comes.

    PYTHONPATH=benchmarks:. python benchmarks/call_instructions.py [--calls 1000]

Other work on the machine changes a call's CPU time by tens of percent, and this count by less than one. Valgrind's
callgrind counts Envoy's own code, not the kernel's, with one worker. The load is that of `make bench`: unary calls on 8
connections, 16 in flight. Linux only; Debian's package is valgrind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
from peers import load
from peers.__main__ import free_ports, ready, servers
from peers.proxies import Start, running, stock_envoy, this_balancer

from proxy_image.envoy.binary import find_envoy
from proxy_image.envoy.bootstrap import MAPS_IN_BLOCKS

WARM_CALLS = 100
(KIND,) = (kind for kind in load.KINDS if kind.name == "unary, 8 connections")
STOCK = "stock Envoy"
ONE_WORKER = ("--concurrency", "1")


@dataclass(frozen=True, slots=True)
class Way:
    """The balancer with these settings, and with these features of Envoy switched."""

    variables: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, bool] = field(default_factory=dict)


WAYS = {
    "this balancer": Way(),
    "without call statistics": Way({"GRPC_LB_CALL_STATISTICS": "off"}),
    "with nghttp2": Way(features={"http2_use_oghttp2": False}),
    "with oghttp2's maps in blocks": Way(features={MAPS_IN_BLOCKS: True}),
}


def counting(folder: Path, *more: str) -> tuple[str, ...]:
    """A command before Envoy's arguments. It counts nothing until it is told to."""
    options = ("--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/counted", "--quiet")
    return ("valgrind", *options, str(find_envoy(None)), *more)


def stock(folder: Path, ports: Sequence[int], behind: Sequence[int]) -> Start:
    start = stock_envoy(folder, ports, behind)
    return replace(start, command=(*counting(folder), *start.command[1:], *ONE_WORKER))


def balancer(way: Way, folder: Path, ports: Sequence[int], behind: Sequence[int]) -> Start:
    """Its Envoy is a script: a last layer of Envoy's runtime wins over those before."""
    start = this_balancer(folder, ports, behind)
    layer = {f"envoy.reloadable_features.{name}": is_on for name, is_on in way.features.items()}
    runtime = {"layered_runtime": {"layers": [{"name": "benchmark", "static_layer": layer}]}} if layer else {}
    command = shlex.join(counting(folder, "--config-yaml", json.dumps(runtime)))
    (script := folder.parent / f"{folder.name}.sh").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    script.chmod(0o700)
    own = {"GRPC_LB_ENVOY_BINARY": str(script), "GRPC_LB_ENVOY_CONCURRENCY": "1"}
    return replace(start, variables={**start.variables, **own, **way.variables})


async def instructions(start: Start, folder: Path, port: int, calls: int) -> float:
    """Of one call."""
    with running(start, folder, os.environ) as process:
        await ready(f"127.0.0.1:{port}", process, folder / "log")
        (envoy,) = (pid for pid in (process.pid, *load.descendants(process.pid)) if "callgrind" in _program(pid))
        async with AsyncExitStack() as stack:
            address = f"127.0.0.1:{port}"
            channels = [
                await stack.enter_async_context(grpc.aio.insecure_channel(address, options=load.UNLIMITED))
                for _ in range(KIND.connections)
            ]
            _control("--instr=on", envoy)
            await load.calls(channels, replace(KIND, calls=WARM_CALLS))
            _control("--zero", envoy)
            await load.calls(channels, replace(KIND, calls=calls))
            _control("--dump", envoy)
    return _total((folder / "counted.1").read_text(errors="replace")) / calls


def _total(dump: str) -> int:
    """https://valgrind.org/docs/manual/cl-format.html"""
    return sum(int(count) for count in re.findall(r"^totals: (\d+)", dump, re.M))


def _program(pid: int) -> str:
    return Path(f"/proc/{pid}/exe").resolve().name


def _control(what: str, pid: int) -> None:
    subprocess.run([shutil.which("callgrind_control") or "", what, str(pid)], check=True, capture_output=True)


async def measure(calls: int) -> None:
    first = 0.0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grpc-lb-")))
        behind = servers(stack, 2)
        for number, name in enumerate((STOCK, *WAYS)):
            own, ports = folder / str(number), free_ports(4)
            start = stock(own, ports, behind) if name == STOCK else balancer(WAYS[name], own, ports, behind)
            found = await instructions(start, own, ports[0], calls)
            first = first or found
            print(
                f"{found / 1000:6.1f} thousand instructions a call, {found / first:.2f} × {STOCK}: {name}", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000, metavar="N", help="calls that are counted (default: 1000)")
    calls = parser.parse_args().calls
    if calls < 1:
        parser.error(f"--calls must be at least 1, got {calls}")
    if shutil.which("valgrind") is None:
        sys.exit("valgrind must be installed, it is not: apt install valgrind")
    asyncio.run(measure(calls))


if __name__ == "__main__":
    main()
