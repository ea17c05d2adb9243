"""Brings the stack up and keeps it: the process behind `python -m local_aws up`."""

from __future__ import annotations

import asyncio
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from local_aws import control
from local_aws.addresses import GATEWAY_HOST, GATEWAY_PORT, Claim, Range, claim_bridge, claim_range
from local_aws.containers.images import assets
from local_aws.deploy.cdk_cli import CdkCli
from local_aws.errors import LocalAwsError
from local_aws.layout import ROOT, Layout, TasksAs
from local_aws.lifecycle.preflight import check_ports
from local_aws.lifecycle.state import State, make_state
from local_aws.process import lock, processes
from local_aws.process.aws_front import AwsFront, Mode
from local_aws.process.aws_process import AwsProcess
from local_aws.process.commands import tail
from local_aws.process.processes import RUN_MARK
from local_aws.progress import say, step
from local_aws.side_by_side import all_of
from proxy_image.supervisor.child import describe_exit

REGION = "us-east-1"
FOLLOW_SECONDS = 0.5


async def up(layout: Layout, context: Mapping[str, str]) -> None:
    """Bring it up, stay until a signal, and stop all of it. Raises LocalAwsError."""
    if platform.system() != "Linux":
        raise LocalAwsError(
            f"the system must be Linux, got {platform.system()}: each task needs an address of its own in 127.0.0.0/8; "
            "run it in a Linux virtual machine or container"
        )
    layout.check_tools()
    layout.check_app()
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for interrupt in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(interrupt, stopping.set)
    run = Run(layout, context, lock.take(layout.lock))
    stop = asyncio.create_task(stopping.wait())
    keep = asyncio.create_task(run.keep())
    try:
        await asyncio.wait([stop, keep], return_when=asyncio.FIRST_COMPLETED)
        if not keep.done():
            keep.cancel()
        with suppress(asyncio.CancelledError):
            await keep
    finally:
        await run.stop()
        say("stopped")


class Run:
    def __init__(self, layout: Layout, context: Mapping[str, str], held: IO[str]) -> None:
        self._layout = layout
        self._context = context
        self._held = held
        self._mark = str(layout.run)
        self._claim: Claim | None = None
        self._guard: asyncio.subprocess.Process | None = None
        self._front: AwsFront | None = None

    async def keep(self) -> None:
        """Up, and then for ever, unless something we depend on ends."""
        in_containers = self._layout.tasks_as is TasksAs.CONTAINERS
        self._claim = claim_bridge() if in_containers else claim_range()
        addresses = self._claim.addresses
        runtime, guard = await self._prepare(self._claim)
        self._front = AwsFront((addresses.address(GATEWAY_HOST), GATEWAY_PORT))
        await self._front.start(self._claim.front)
        aws = AwsProcess(self._layout, addresses, runtime=runtime, region=REGION, mark=self._mark)
        ends = [
            asyncio.create_task(told_when_ended("the stand-in for AWS", await aws.start(), aws.log)),
            asyncio.create_task(told_when_ended("the guard process", guard)),
        ]
        work = asyncio.create_task(self._work(aws, addresses, runtime / "control.sock"))
        try:
            done, _ = await asyncio.wait([work, *ends], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in (work, *ends):
                waiting.cancel()
        if work in done:
            work.result()
        raise LocalAwsError(next(end.result() for end in ends if end in done) + "; start it again: make up")

    async def stop(self) -> None:
        """The guard kills all that carries our mark and cleans up; the same as after a crash."""
        if self._front is not None:
            await self._front.stop()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            await self._guard.wait()
        processes.kill_marked(RUN_MARK, self._mark)  # in case it was the guard that broke
        self._layout.state.unlink(missing_ok=True)
        if self._claim is not None:
            self._claim.held.close()
        self._held.close()

    async def _prepare(self, claim: Claim) -> tuple[Path, asyncio.subprocess.Process]:
        processes.kill_marked(RUN_MARK, self._mark)  # what a run left that died together with its guard
        layout = self._layout
        layout.state.unlink(missing_ok=True)
        shutil.rmtree(layout.run, ignore_errors=True)
        layout.tasks.mkdir(parents=True)
        # Sockets have names of at most 107 bytes, and a checkout may lie deep.
        runtime = Path(tempfile.mkdtemp(prefix="grpc-lb-"))
        (layout.run / "runtime").write_text(str(runtime))
        self._guard = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(ROOT / "local_aws/process/guard.py")),
            *(self._mark, str(runtime), str(layout.state)),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
            pass_fds=[self._held.fileno(), claim.held.fileno()],
        )
        return runtime, self._guard

    async def _work(self, aws: AwsProcess, addresses: Range, socket: Path) -> None:
        cdk = CdkCli(self._layout, endpoint=addresses.front, region=REGION, mark=self._mark)

        async def bootstrap() -> None:
            await aws.answers()
            await cdk.bootstrap()

        async with step("local AWS starts and is bootstrapped, and the app is synthesised (cdk synth)"):
            await all_of(cdk.synth(self._context), bootstrap())
        check_ports(cdk.templates(), addresses)
        if self._layout.tasks_as is TasksAs.CONTAINERS:
            assets.check_built(cdk.assembly)
        async with step("cdk deploy"):
            outputs = await cdk.deploy()
        async with step("tasks and load balancers become healthy"):
            await aws.steady()

        async def state_now() -> State:
            tasks = await aws.ask({"do": "tasks"})
            return make_state(outputs, tasks, aws_endpoint=addresses.front, region=REGION, control=socket)

        async with await control.serve(socket, lambda request: self._answer(aws, request)):
            state = await state_now()
            state.write(self._layout.state)
            more = f"  {'more':<22} {self._layout.state}"
            say("\n".join(["up:", *state.lines(), more, "stop it with Ctrl-C or make down"]))
            while True:  # balancer tasks come and go, and their addresses with them
                await asyncio.sleep(FOLLOW_SECONDS)
                with suppress(LocalAwsError, OSError):
                    before, state = state, await state_now()
                    if state != before:
                        state.write(self._layout.state)

    async def _answer(self, aws: AwsProcess, request: dict[str, Any]) -> Any:
        if request.get("do") == "outage":
            return await self._outage(str(request.get("mode")))
        answer = await aws.ask(request)
        if request.get("do") == "tasks":
            children = processes.children()
            for task in answer:
                first, *others = task.pop("pids").values() or (None,)
                pids = [] if first is None else [first, *others]
                below = {child for pid in pids for child in processes.descendants(pid, children)}
                task["child_pids"] = sorted(below | set(others))
        return answer

    async def _outage(self, mode: str) -> str:
        if mode not in list(Mode):
            raise LocalAwsError(f"an outage must be one of {', '.join(Mode)}, got {mode}")
        if self._front is not None:
            await self._front.set_mode(Mode(mode))
        return mode


async def told_when_ended(what: str, process: asyncio.subprocess.Process, log: Path | None = None) -> str:
    """What to say of a process that must not end before the stack does."""
    told = f"{what} ended ({describe_exit(await process.wait())})"
    return told if log is None else f"{told}; its log {log} ends:\n  {tail(log)}\n"
