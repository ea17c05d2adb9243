"""The demo's scenes: each does something to the stack, most of them under load, and says what its claims saw."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from grpc_lb_contract.proxyless import BOOTSTRAP, bootstrap
from local_aws.demo import claims
from local_aws.demo.claims import Claim
from local_aws.demo.cost import Way, costs
from local_aws.demo.page import picture, price
from local_aws.demo.stage import SceneError, Stage, Watched
from local_aws.stack import TaskInfo
from rng_service.load import Plan, run_load
from rng_service.report import Call, LoadReport

Claims = AsyncIterator[Claim]

CALLS = 100
PROCESSES = 4
PROXYLESS = "xds:///random-numbers"
FEW, MANY = 2, 4
"""Tasks, before and after scaling out."""
FIRST_CALLS = 10
"""A client without a proxy begins with the task that it has a connection to first."""
# Of a stretch of the load: so many that one in a hundred that fails would be seen.
MIN_CALLS = 100
FIRST_CALL_WITHIN_SECONDS, FIRST_CALL_TIMES = 3.0, 3.0
BACK_WITHIN_SECONDS, BACK_TIMES = 30.0, 10.0
HANG_SECONDS, REFUSE_SECONDS = 10.0, 10.0


async def problem_and_cure(stage: Stage) -> Claims:
    tasks = [task.id for task in await stage.settled()]
    if stage.addresses.comparison is not None:
        report = await run_load(stage.addresses.comparison, Plan(calls=CALLS))
        picture("100 calls on one connection through a layer-4 load balancer", report, tasks)
        yield claims.all_on_one("layer 4: all calls of one connection go to one task", report, tasks)
    report = await run_load(stage.addresses.balancer, Plan(calls=CALLS))
    picture("100 calls on one connection through the balancer", report, tasks)
    yield claims.spread_evenly("balancer: the calls of one connection are spread evenly", report, tasks)

    xds = {BOOTSTRAP: bootstrap(stage.addresses.xds, "demo")}
    report = await from_processes(PROXYLESS, 1, environment=xds)
    picture("100 calls of one client without a proxy (xDS)", report, tasks)
    yield claims.spread_evenly("no proxy: the calls of one client are spread evenly", report, tasks, within=FIRST_CALLS)

    ways = [Way("balancer", stage.addresses.balancer, {}), Way("without a proxy (xDS)", PROXYLESS, xds)]
    if stage.addresses.comparison is not None:
        ways.insert(0, Way("layer-4 load balancer", stage.addresses.comparison, {}))
    price(await costs(stage, ways))

    report = await from_processes(stage.addresses.balancer, PROCESSES)
    workers = min(PROCESSES, await stage.envoy_workers())
    yield claims.spread_evenly(f"so are those of {PROCESSES} client processes at once", report, tasks, within=workers)

    report = await run_load(stage.addresses.balancer, Plan(streams=CALLS))
    yield claims.spread_evenly(f"so are {CALLS} streams at once on one connection", report, tasks)


async def from_processes(address: str, processes: int, environment: Mapping[str, str] | None = None) -> LoadReport:
    """The calls of several client processes at once, as one report."""
    clients = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rng_service.client", address, "--calls", str(CALLS), "--json"),
            env={**os.environ, **(environment or {})},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(processes)
    ]
    calls: list[Call] = []
    for client in clients:
        output, errors = await client.communicate()
        if not output:
            raise SceneError(f"a client must print its report, got {errors.decode().strip()!r}")
        seen = json.loads(output)
        for task, count in seen["tasks"].items():
            calls += [Call(0.0, 0.0, task)] * count
        for code, failed in seen["failures"].items():
            calls += [Call(0.0, 0.0, failed["task"], code, failed["sample"])] * failed["count"]
    return LoadReport(address, processes, 0.0, 0.0, tuple(calls))


async def scale_out(stage: Stage, load: Watched) -> Claims:
    before = await stage.numbers()
    async with load.stretch() as report:
        await stage.scale(MANY)
        new = await stage.new_numbers(before, count=MANY - FEW)
        await stage.call_directly(new)
        seconds = [await load.seconds_to_first_answer(task) for task in new]
    yield claims.in_time(
        f"{FEW} → {MANY} tasks: each new task's first call, from its RUNNING event",
        seconds,
        limit=FIRST_CALL_WITHIN_SECONDS,
        direct=stage.direct_seconds,
        times=FIRST_CALL_TIMES,
    )
    yield no_call_failed("no call fails while it scales out", report())


async def spread_over_four(stage: Stage) -> Claims:
    tasks = [task.id for task in await stage.settled()]
    report = await run_load(stage.addresses.balancer, Plan(calls=CALLS))
    picture("100 calls on one connection, 4 tasks", report, tasks)
    yield claims.spread_evenly("and each of the 4 tasks has its equal part", report, tasks)


async def stop_a_task(stage: Stage, load: Watched) -> Claims:
    first, *_ = await stage.settled()
    yield await stopped_unnoticed(stage, load, first)


async def replace_every_task(stage: Stage, load: Watched) -> Claims:
    first, *others = await stage.left(FEW)
    yield await stopped_unnoticed(stage, load, first)
    async with load.stretch() as report:
        for task in others:
            await stage.settled()
            await replace_task(stage, load, task)
    yield no_call_failed("no call fails while the others are replaced too, one by one", report())


async def stopped_unnoticed(stage: Stage, load: Watched, task: TaskInfo) -> Claim:
    async with load.stretch() as report:
        await replace_task(stage, load, task)
    return no_call_failed("no call fails while ECS stops a task", report())


async def replace_task(stage: Stage, load: Watched, task: TaskInfo) -> None:
    before = await stage.numbers()
    await stage.stop(task)
    (new,) = await stage.new_numbers(before, count=1)
    if await load.first_answer(new) is None:
        raise SceneError(f"the task in the place of {task.id} must answer calls, got none")


async def stop_a_balancer(stage: Stage, load: Watched) -> Claims:
    first, *_ = await stage.balancers()
    async with load.stretch() as report:
        await stage.stop(first)
        await stage.stopped([first], count=1)
        await stage.steady(stage.addresses.balancer_service)
    yield no_call_failed("no call fails while ECS stops one of the two balancers", report())


async def kill_a_task(stage: Stage, load: Watched) -> Claims:
    yield await killed_alone(stage, load)


async def kill_a_task_then_control_planes(stage: Stage, load: Watched) -> Claims:
    """The control planes go while the killed task's replacement starts."""
    seen: list[Claim] = []

    async def control_planes() -> None:
        seen.append(await killed_unnoticed(stage, load))

    yield await killed_alone(stage, load, control_planes)
    for claim in seen:
        yield claim


async def killed_alone(stage: Stage, load: Watched, then: Callable[[], Awaitable[None]] | None = None) -> Claim:
    """Kill a task, do what else is to be done once it is gone, and wait until the task in its place answers."""
    before = await stage.settled()
    async with load.stretch() as report:
        killed_at, gone_at = await stage.kill(before[0])
        if then is not None:
            await then()
        (new,) = await stage.new_numbers(before, count=1)
        await load.first_answer(new)
    return claims.only_calls_inside_failed(
        "a task killed with SIGKILL takes no call with it but those inside it",
        report(),
        killed_at=killed_at,
        gone_at=gone_at,
        min_calls=MIN_CALLS,
    )


async def lose_aws(stage: Stage, load: Watched) -> Claims:
    before = await stage.settled()
    async with load.stretch() as report:
        try:
            await stage.outage("hang")
            await stage.stop_unseen_by_aws_clients(before[0])
            await asyncio.sleep(HANG_SECONDS)
            await stage.outage("refuse")
            await asyncio.sleep(REFUSE_SECONDS)
        finally:
            await stage.outage("none")
    yield no_call_failed(
        f"no call fails while AWS hangs ({HANG_SECONDS:g} s), refuses ({REFUSE_SECONDS:g} s), and a task is replaced",
        report(),
    )
    back = report().finished
    (new,) = await stage.new_numbers(before, count=1)
    answered = await load.first_answer(new)
    yield claims.in_time(
        "AWS is back: the first call of the task that came meanwhile",
        [None if answered is None else answered - back],
        limit=BACK_WITHIN_SECONDS,
        direct=stage.direct_seconds,
        times=BACK_TIMES,
    )


async def kill_control_planes(stage: Stage, load: Watched) -> Claims:
    await stage.settled()
    yield await killed_unnoticed(stage, load)


async def killed_unnoticed(stage: Stage, load: Watched) -> Claim:
    async with load.stretch() as report:
        killed = await stage.kill_control_planes()
    return no_call_failed(
        f"no call fails while {killed} control planes are killed with SIGKILL and come back", report()
    )


async def scale_in(stage: Stage, load: Watched) -> Claims:
    before = await stage.numbers()
    async with load.stretch() as report:
        await stage.scale(FEW)
        await stage.stopped(before, count=MANY - FEW, by_service=True)
    yield no_call_failed(f"no call fails while it scales in, {MANY} → {FEW} tasks", report())


def no_call_failed(text: str, report: LoadReport) -> Claim:
    return claims.no_call_failed(text, report, min_calls=MIN_CALLS)


Scene = Callable[[Stage], Claims]
SceneUnderLoad = Callable[[Stage, Watched], Claims]
AtOnce = tuple[SceneUnderLoad, ...]
Programme = tuple[Scene | tuple[SceneUnderLoad | AtOnce, ...], ...]

# Shares are told without other calls: those of one worker's connections take turns with one another.
# Scenes whose claims all say that no call fails are played at once: each then holds under the others' trouble too.
PROGRAMME: Programme = (
    problem_and_cure,
    (scale_out,),
    spread_over_four,
    (
        (scale_in, replace_every_task, stop_a_balancer),
        kill_a_task_then_control_planes,
        lose_aws,
    ),
)
SHORT_PROGRAMME: Programme = (problem_and_cure, (stop_a_task, kill_a_task, kill_control_planes))
