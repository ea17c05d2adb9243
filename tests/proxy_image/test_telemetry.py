"""What a whole balancer tells of its calls: lines that are whole, and spans that say whose they are."""

from __future__ import annotations

import asyncio
import json
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.proxy_image.balancer import REAL, call, channel, running_balancer, running_server
from tests.proxy_image.control_plane.envoy.test_tracing import Collector


@pytest.mark.parametrize("calls", [500, pytest.param(2000, marks=pytest.mark.long)])
async def test_each_call_is_one_whole_line_on_standard_output_where_nothing_else_is(tmp_path: Path, calls: int) -> None:
    env = {"GRPC_LB_ACCESS_LOG": "all"}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_server())
        started = running_balancer(tmp_path, server, env, REAL, subprocess.PIPE)
        balancer = await stack.enter_async_context(started)
        assert balancer.process.stdout is not None
        written = asyncio.create_task(asyncio.to_thread(balancer.process.stdout.read))
        await balancer.ready()

        async def make_calls(count: int) -> None:
            async with channel(balancer.address) as on:
                for _ in range(count):
                    await call(on)

        await asyncio.gather(*(make_calls(calls // 10) for _ in range(10)))
        balancer.process.terminate()
        await balancer.exited()
        lines = (await written).decode().splitlines()
        balancer.process.stdout.close()
    assert [json.loads(line)["event"] for line in lines] == ["call"] * calls
    others = [json.loads(line) for line in balancer.log.read_text().splitlines()]
    assert (
        {"supervisor", "control plane"}
        <= {line["source"] for line in others}
        <= {"supervisor", "control plane", "envoy"}
    )


async def test_spans_say_which_task_they_come_from(tmp_path: Path) -> None:
    collector = Collector()
    env = {"GRPC_LB_TRACING_PERCENT": "100", "GRPC_LB_TRACING_COLLECTOR": collector.address}
    async with (
        collector.listening(),
        running_server() as server,
        running_balancer(tmp_path, server, env, REAL) as balancer,
        channel(balancer.address) as on,
    ):
        await balancer.ready()
        await call(on)
        await collector.calls(1)
        assert collector.resource["service.instance.id"] == balancer.events("starting")[0]["node"]
