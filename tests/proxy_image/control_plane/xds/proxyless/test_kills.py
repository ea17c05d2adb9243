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
from tests.proxy_image.control_plane.xds.proxyless.harness import client_process, parsed


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


async def test_a_killed_task_and_control_plane_fail_no_call_but_the_one_in_the_task(tmp_path: Path) -> None:
    # GIVEN clients that call two tasks one call at a time, so that one call of each is in flight at most
    async with (
        backends("a", "c") as (a, c),
        task("b") as (port_b, b),
        running_balancer(tmp_path, f"127.0.0.1:{a.port}", {"GRPC_LB_ENVOY": "false"}, REAL) as balancer,
    ):
        now_serves(balancer, a.port, port_b)
        await balancer.ready()
        config = parsed(bootstrap([f"127.0.0.1:{balancer.ports['xds']}"], "test"))
        async with client_process("Python", "test", config) as python, client_process("Node", "test", config) as node:
            for client in (python, node):
                await client.sees(20, {"a": 10, "b": 10})
            # WHEN the control plane and a task are killed while they call
            loads = [asyncio.create_task(each.calls(2000)) for each in (python, node)]
            await asyncio.sleep(0.3)
            os.kill((await balancer.event("control plane started"))["pid"], signal.SIGKILL)
            b.kill()
            # THEN each loses that one call at most
            for outcome in await asyncio.gather(*loads):
                assert sum(outcome.codes.values()) == 2000
                assert set(outcome.codes) <= {"OK", "UNAVAILABLE"}
                assert outcome.codes["UNAVAILABLE"] <= 1, outcome.answers
            # AND once the supervisor has started another control plane, they follow it
            await balancer.event("control plane started", count=2)
            now_serves(balancer, a.port, c.port)
            for client in (python, node):
                await client.sees(20, {"a": 10, "c": 10})
