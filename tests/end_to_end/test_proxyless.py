"""A client that `connect` configures, deployed into the local AWS: it calls the tasks by `xds:///`, without a proxy."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from grpc_lb_contract.proxyless import BOOTSTRAP_FILE
from local_aws.demo.scenes import FIRST_CALLS
from local_aws.demo.stage import Stage
from local_aws.stack import LocalStack, TaskInfo

CALLS = 100
ATTEMPTS = 60
"""The control plane may learn of the second task a moment after ECS has it."""


def client_task(stack: LocalStack) -> tuple[TaskInfo, dict[str, str]]:
    """The client's task, and the environment that its process has: a container before it wrote the bootstrap."""
    for task in stack.tasks():
        environ = b"" if task.pid is None else Path(f"/proc/{task.pid}/environ").read_bytes()
        found = dict(each.partition("=")[::2] for each in environ.decode().split("\0"))
        if task.is_serving and "NUMBERS" in found:
            return task, found
    raise AssertionError("no task runs with a client's environment")


async def calls(target: str, given: dict[str, str]) -> dict[str, Any]:
    """What a client reports that has a deployed task's bootstrap."""
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rng_service.client", target, "--calls", str(CALLS), "--json"),
        env={**os.environ, BOOTSTRAP_FILE: given[BOOTSTRAP_FILE]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, _errors = await client.communicate()
    report: dict[str, Any] = json.loads(output or b"{}")
    return report


async def test_a_deployed_client_calls_the_tasks_evenly_with_the_environment_that_it_is_given(
    two_stacks: LocalStack,
) -> None:
    stage = Stage(two_stacks)
    await stage.steady()
    tasks = await stage.numbers()
    _task, given = client_task(two_stacks)
    assert given["NUMBERS"] == "xds:///random-numbers"
    assert await stage.envoy_workers() == 0, "the control plane runs without Envoy"

    for _ in range(ATTEMPTS):
        report = await calls(given["NUMBERS"], given)
        if set(report.get("tasks", ())) == {task.id for task in tasks}:
            break
        await asyncio.sleep(1)
    assert report["failures"] == {}
    assert set(report["tasks"]) == {task.id for task in tasks}
    assert all(abs(count - CALLS / len(tasks)) <= FIRST_CALLS for count in report["tasks"].values())


async def test_a_deployed_client_prefers_its_own_zone_where_the_service_asks_for_it(two_stacks: LocalStack) -> None:
    task, given = client_task(two_stacks)
    near = {each.id: each.zone for each in two_stacks.tasks() if "near" in each.service.lower() and each.is_serving}
    assert len(set(near.values())) == 2, "ECS spreads the tasks over the zones"
    report = await calls(given["NEAR"], given)
    assert (report["failures"], {near[each] for each in report["tasks"]}) == ({}, {task.zone})
