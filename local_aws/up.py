"""Brings the stack up and keeps it: the process behind `python -m local_aws up`."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from local_aws import control, lock, processes
from local_aws.addresses import GATEWAY_HOST, GATEWAY_PORT, Range, claim_range
from local_aws.cdk_cli import CdkCli
from local_aws.errors import LocalAwsError
from local_aws.front import Front, Mode
from local_aws.layout import Layout, find_envoy
from local_aws.preflight import check_ports
from local_aws.processes import RUN_MARK, dies_with_us
from local_aws.progress import say, step
from local_aws.stand_in.settings import Settings
from local_aws.state import State, make_state

REGION = "us-east-1"
STAND_IN_SECONDS = 60.0
STEADY_SECONDS = 90.0
FOLLOW_SECONDS = 0.5


async def up(layout: Layout, context: Mapping[str, str]) -> None:
    """Bring it up, stay until a signal, and stop all of it. Raises LocalAwsError."""
    if platform.system() != "Linux":
        raise LocalAwsError(
            f"the system must be Linux, got {platform.system()}: each task needs an address of its own in 127.0.0.0/8; "
            "run it in a Linux virtual machine or container"
        )
    layout.check_tools()
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
        self._guard: asyncio.subprocess.Process | None = None
        self._front: Front | None = None
        self._runtime = Path()
        self._outputs: dict[str, dict[str, str]] = {}

    async def keep(self) -> None:
        """Up, and then for ever, unless something we depend on ends."""
        await self._prepare()
        addresses, claim = claim_range()
        self._front = Front((addresses.address(GATEWAY_HOST), GATEWAY_PORT))
        await self._front.start(claim)
        stand_in = await self._start_stand_in(addresses)
        ends = {
            asyncio.create_task(stand_in.wait()): f"the stand-in for AWS ended (see {self._layout.run / 'aws.log'})",
            asyncio.create_task(self._guard_ended()): "the guard process ended",
        }
        work = asyncio.create_task(self._work(addresses))
        try:
            done, _ = await asyncio.wait([work, *ends], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in (work, *ends):
                waiting.cancel()
        if work in done:
            work.result()
        raise LocalAwsError(next(what for end, what in ends.items() if end in done) + "; start it again: make up")

    async def stop(self) -> None:
        """The guard kills all that carries our mark and cleans up; the same as after a crash."""
        if self._front is not None:
            await self._front.stop()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            await self._guard.wait()
        processes.kill_marked(RUN_MARK, self._mark)  # in case it was the guard that broke
        self._layout.state.unlink(missing_ok=True)
        self._held.close()

    async def _prepare(self) -> None:
        processes.kill_marked(RUN_MARK, self._mark)  # what a run left that died together with its guard
        layout = self._layout
        layout.state.unlink(missing_ok=True)
        shutil.rmtree(layout.run, ignore_errors=True)
        layout.tasks.mkdir(parents=True)
        # Sockets have names of at most 107 bytes, and a checkout may lie deep.
        self._runtime = Path(tempfile.mkdtemp(prefix="grpc-lb-"))
        (layout.run / "runtime").write_text(str(self._runtime))
        self._guard = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))),
            *(self._mark, str(self._runtime), str(layout.state)),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
            pass_fds=[self._held.fileno()],
        )

    async def _guard_ended(self) -> None:
        if self._guard is not None:
            await self._guard.wait()

    async def _start_stand_in(self, addresses: Range) -> asyncio.subprocess.Process:
        layout = self._layout
        settings = Settings(
            range_number=addresses.number,
            region=REGION,
            mark=self._mark,
            python=str(layout.venv / "python"),
            envoy=str(find_envoy()),
            images=str(layout.images),
            logs=str(layout.tasks),
            runtime=str(self._runtime),
            control=str(self._runtime / "ecs.sock"),
        )
        settings.write(self._runtime / "settings.json")
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        with (layout.run / "aws.log").open("wb") as output:
            return await asyncio.create_subprocess_exec(
                *dies_with_us(
                    [str(layout.ministack_python), "-m", "local_aws.stand_in", str(self._runtime / "settings.json")]
                ),
                cwd=self._runtime,
                env=kept
                | {
                    "HOME": str(self._runtime),  # no settings of the user's for the Lambda
                    "PYTHONPATH": str(layout.root),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "AWS_ACCESS_KEY_ID": "test",
                    "AWS_SECRET_ACCESS_KEY": "test",
                    RUN_MARK: self._mark,
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def _work(self, addresses: Range) -> None:
        cdk = CdkCli(self._layout, endpoint=addresses.front, region=REGION, mark=self._mark)
        async with step("local AWS starts, is bootstrapped (cdk bootstrap), and the app is synthesised (cdk synth)"):
            await _all_of(cdk.synth(self._context), self._bootstrap(cdk, addresses))
        check_ports(cdk.templates(), addresses)
        async with step("cdk deploy"):
            self._outputs = await cdk.deploy()
        async with step("tasks and load balancers become healthy"):
            await self._steady()
        socket = self._runtime / "control.sock"
        server = await control.serve(socket, self._answer)
        async with server:
            state = await self._write_state(addresses, socket)
            say(
                "\n".join(
                    ["up:", *state.lines(), f"  {'more':<22} {self._layout.state}", "stop it with Ctrl-C or make down"]
                )
            )
            while True:  # balancer tasks come and go, and their addresses with them
                await asyncio.sleep(FOLLOW_SECONDS)
                with suppress(LocalAwsError, OSError):
                    state = await self._write_state(addresses, socket, state)

    async def _bootstrap(self, cdk: CdkCli, addresses: Range) -> None:
        await _answers(addresses.address(GATEWAY_HOST), GATEWAY_PORT, self._layout.run / "aws.log")
        await cdk.bootstrap()

    async def _steady(self) -> None:
        deadline = asyncio.get_running_loop().time() + STEADY_SECONDS
        while True:
            services = await self._ask({"do": "services"})
            waiting = [service for service in services if not service["steady"]]
            if not waiting:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise LocalAwsError(await self._why_not_steady(waiting[0]))
            await asyncio.sleep(0.2)

    async def _why_not_steady(self, service: Mapping[str, Any]) -> str:
        tasks = [task for task in await self._ask({"do": "tasks"}) if task["service"] == service["name"]]
        newest = max(tasks, key=lambda task: float(task["created_at"]), default=None)
        told = f"service {service['name']} must become healthy within {STEADY_SECONDS:.0f} s, got "
        told += f"{service['running']} of {service['desired']} tasks running"
        if newest is None:
            return told
        log = Path(newest["log"])
        reason = f" ({newest['stopped_reason']})" if newest["stopped_reason"] else ""
        return told + f"; the newest is {newest['last_status']}{reason}, its log {log} ends:\n  {_tail(log)}"

    async def _write_state(self, addresses: Range, socket: Path, before: State | None = None) -> State:
        tasks = await self._ask({"do": "tasks"})
        state = make_state(self._outputs, tasks, aws_endpoint=addresses.front, region=REGION, control=socket)
        if state != before:
            state.write(self._layout.state)
        return state

    async def _answer(self, request: dict[str, Any]) -> Any:
        if request.get("do") == "outage":
            return await self._outage(str(request.get("mode")))
        answer = await self._ask(request)
        if request.get("do") == "tasks":
            for task in answer:
                first, *others = task.pop("pids").values() or (None,)
                below = {child for pid in (first, *others) if pid is not None for child in processes.descendants(pid)}
                task["child_pids"] = sorted(below | set(others))
        return answer

    async def _outage(self, mode: str) -> str:
        if mode not in list(Mode):
            raise LocalAwsError(f"an outage must be one of {', '.join(Mode)}, got {mode}")
        if self._front is not None:
            await self._front.set_mode(Mode(mode))
        return mode

    async def _ask(self, request: dict[str, Any]) -> Any:
        try:
            return await control.ask(self._runtime / "ecs.sock", request)
        except OSError as error:
            raise LocalAwsError(f"the stand-in for AWS must answer, got '{error.strerror}'") from error


def _tail(log: Path) -> str:
    return "\n  ".join(log.read_text(errors="replace").strip().splitlines()[-15:]) if log.exists() else "(no log)"


async def _all_of(*coroutines: Any) -> None:
    """All, or the first failure, with the others stopped."""
    running = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*running)
    finally:
        for one in running:
            one.cancel()


async def _answers(host: str, port: int, log: Path) -> None:
    deadline = asyncio.get_running_loop().time() + STAND_IN_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise LocalAwsError(
                    f"the stand-in for AWS must answer within {STAND_IN_SECONDS:.0f} s:\n  {_tail(log)}"
                ) from error
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
