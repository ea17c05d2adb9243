"""SIGKILL under load: a task, and the control plane with it. Only a call that was in the killed task may fail."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from grpc_lb_contract.proxyless import bootstrap
from tests.proxy_image.balancer import REAL, Balancer, running_balancer
from tests.proxy_image.control_plane.support import backends
from tests.proxy_image.control_plane.xds.proxyless.harness import SharedClients, parsed


@asynccontextmanager
async def task(name: str) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    program = "tests.proxy_image.control_plane.xds.proxyless.task_process"
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", program, name, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline()), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def now_serves(balancer: Balancer, *ports: int) -> None:
    targets = [f"127.0.0.1:{port}" for port in ports]
    whole = balancer.state_dir / "next.json"
    whole.write_text(json.dumps({"services": [{"name": "test", "targets": targets}]}))
    whole.rename(balancer.state_dir / "targets.json")


async def test_a_killed_task_and_control_plane_fail_no_call_but_the_one_in_the_task(
    tmp_path: Path, shared_clients: SharedClients
) -> None:
    # GIVEN clients that call two tasks one call at a time, so that one call of each is in flight at most
    async with (
        backends("a", "c") as (a, c),
        task("b") as (port_b, b),
        running_balancer(tmp_path, f"127.0.0.1:{a.port}", {"GRPC_LB_ENVOY": "false"}, REAL) as balancer,
    ):
        now_serves(balancer, a.port, port_b)
        await balancer.ready()
        config = parsed(bootstrap([f"127.0.0.1:{balancer.ports['xds']}"], "test"))
        async with (
            shared_clients.client("Python", "test", config) as python,
            shared_clients.client("Node", "test", config) as node,
        ):
            for client in (python, node):
                await client.sees(20, {"a": 10, "b": 10})
            # WHEN the control plane and a task are killed while they call, until another control plane has started
            async with python.calling() as by_python, node.calling() as by_node:
                os.kill((await balancer.event("control plane started"))["pid"], signal.SIGKILL)
                b.kill()
                await balancer.event("control plane started", count=2)
                await balancer.ready()
            # THEN each loses that one call at most
            for codes in (by_python, by_node):
                assert set(codes) <= {"OK", "UNAVAILABLE"}
                assert codes["UNAVAILABLE"] <= 1
            # AND they follow the new one
            now_serves(balancer, a.port, c.port)
            for client in (python, node):
                await client.sees(20, {"a": 10, "c": 10})
