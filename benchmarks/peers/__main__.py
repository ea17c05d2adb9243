"""`make bench`: this balancer beside its peers, by CPU for a call, latency and throughput, in one run.

    python -m peers [--rounds 9] [--quick] [--write]

Every proxy runs before the same two servers; they take turns, each round in another order, so that whatever else the
machine does hits all of them alike. A figure is the median of the rounds. Client and servers are Python: they, not a
proxy, bound the calls a second. Linux only: it reads the clocks of other processes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc

from peers import load, page, proxies
from peers.load import KINDS, Kind, Turn

PATIENCE_SECONDS = 60.0
FIRST_PORT, LAST_PORT = 12_000, 31_000
QUICK_ROUNDS, QUICK_PART = 3, 5


def servers(stack: contextlib.ExitStack, count: int) -> list[int]:
    """The ports of so many servers, each a process."""
    ports = []
    for _ in range(count):
        process = stack.enter_context(
            subprocess.Popen(
                (sys.executable, "-m", "peers.echo_server"),
                cwd=proxies.ROOT / "benchmarks",
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(process.kill)
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        ports.append(int(process.stdout.readline()))
    return ports


async def ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a call comes through, which a proxy that ends or answers something else never gets to."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    problem = ""
    while process.poll() is None and asyncio.get_running_loop().time() < deadline:
        try:
            async with grpc.aio.insecure_channel(address, options=load.UNLIMITED) as channel, asyncio.timeout(5):
                return await load.one_call(channel, KINDS[0])
        except (grpc.RpcError, TimeoutError) as error:
            problem = str(error)
            await asyncio.sleep(0.1)
    text = await asyncio.to_thread(log.read_text)
    raise RuntimeError(f"a call must come through {process.args!r}, got {problem}; its log:\n{text}")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that outgoing connections get."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(FIRST_PORT, LAST_PORT)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


async def measure(
    rounds: int, kinds: tuple[Kind, ...], ports_of: Callable[[int], Sequence[int]] = free_ports
) -> dict[str, dict[str, list[Turn]]]:
    """Of each proxy and each kind of load, the turns. `ports_of` gives so many ports that are free."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grpc-lb-bench-")))
        behind = servers(stack, 2)
        found: dict[str, tuple[str, int | None]] = {proxies.DIRECT: (f"127.0.0.1:{behind[0]}", None)}
        for number, (name, make) in enumerate(proxies.available().items()):
            own, ports = folder / str(number), ports_of(4)
            start = make(own, ports, behind)
            process = stack.enter_context(proxies.running(start, own, os.environ))
            await ready(f"127.0.0.1:{ports[0]}", process, own / "log")
            found[name] = (f"127.0.0.1:{ports[0]}", process.pid)
        turns: dict[str, dict[str, list[Turn]]] = {name: {kind.name: [] for kind in kinds} for name in found}
        for number in range(1, rounds + 1):
            for kind in kinds:
                for name in random.sample(list(found), len(found)):
                    address, pid = found[name]
                    turns[name][kind.name].append(await load.turn(address, kind, pid))
            print(f"round {number} of {rounds}, {load.machine()}", flush=True)
    return turns


def main() -> int:
    parser = argparse.ArgumentParser("make bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="turns of each proxy (default 9)")
    parser.add_argument("--quick", action="store_true", help="3 rounds with a fifth of the calls, for a first look")
    parser.add_argument("--write", action="store_true", help="write docs/benchmark.md and its picture")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {given.rounds}")
    kinds, rounds = KINDS, given.rounds
    if given.quick:
        rounds = QUICK_ROUNDS
        kinds = tuple(Kind(one.name, one.connections, one.message, one.calls // QUICK_PART, one.units) for one in KINDS)
    missing = sorted(proxies.PROXIES.keys() - proxies.available().keys())
    if missing:
        print(f"not installed, so not compared: {', '.join(missing)}", flush=True)
    turns = asyncio.run(measure(rounds, kinds))
    figures = page.figures(turns)
    print(page.table(figures))
    if given.write:
        page.write(figures, rounds, load.machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
