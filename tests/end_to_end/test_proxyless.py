"""A client that `connect` configures, deployed into the local AWS: it calls the tasks by `xds:///`, without a proxy."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grpc_lb_contract.proxyless import BOOTSTRAP
from local_aws.demo.scenes import FIRST_CALLS
from local_aws.demo.stage import Stage
from local_aws.layout import Layout
from local_aws.stack import LocalStack
from tests.local_aws.leftovers import remove

APP = Path(__file__).with_name("proxyless_app")
CALLS = 100
ATTEMPTS = 60
"""The control plane may learn of the second task a moment after ECS has it."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    layout = Layout(app_folder=APP, name=f"test-proxyless-{os.getpid()}")
    with LocalStack.up(layout, context={"proxyless": "true"}, log=tmp_path_factory.mktemp("proxyless") / "log") as up:
        yield up
    remove(layout)


def environment_of_the_client(stack: LocalStack) -> dict[str, str]:
    """What ECS gives the client's container."""
    ecs: Any = stack.client("ecs")
    for arn in ecs.list_task_definitions()["taskDefinitionArns"]:
        definition = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        for container in definition["containerDefinitions"]:
            found = {each["name"]: each["value"] for each in container.get("environment", [])}
            if BOOTSTRAP in found:
                return found
    raise AssertionError(f"no container has {BOOTSTRAP}")


async def test_a_deployed_client_calls_the_tasks_evenly_with_the_environment_that_it_is_given(
    stack: LocalStack,
) -> None:
    stage = Stage(stack)
    await stage.steady()
    tasks = await stage.numbers()
    given = environment_of_the_client(stack)
    assert given["NUMBERS"] == "xds:///random-numbers"
    assert await stage.envoy_workers() == 0, "the control plane runs without Envoy"

    async def seen() -> dict[str, Any]:
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rng_service.client", given["NUMBERS"], "--calls", str(CALLS), "--json"),
            env={**os.environ, BOOTSTRAP: given[BOOTSTRAP]},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, _errors = await client.communicate()
        report: dict[str, Any] = json.loads(output or b"{}")
        return report

    for _ in range(ATTEMPTS):
        report = await seen()
        if set(report.get("tasks", ())) == {task.id for task in tasks}:
            break
        await asyncio.sleep(1)
    assert report["failures"] == {}
    assert set(report["tasks"]) == {task.id for task in tasks}
    assert all(abs(count - CALLS / len(tasks)) <= FIRST_CALLS for count in report["tasks"].values())
