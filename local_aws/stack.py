"""The running stack as an object, for the demo and the tests: `up` by its control socket, AWS by boto3."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from local_aws import control
from local_aws.clients import client_of
from local_aws.errors import LocalAwsError
from local_aws.layout import Layout
from local_aws.lifecycle.state import State
from local_aws.process.processes import dies_with_us

UP_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task of ECS as a process. Times are seconds since the epoch; `started_at` is that of its RUNNING event."""

    arn: str
    id: str
    service: str
    ip: str
    zone: str
    last_status: str
    desired_status: str
    health: str
    version: int
    created_at: float
    started_at: float | None
    stopped_at: float | None
    stop_code: str | None
    stopped_reason: str | None
    exit_codes: Mapping[str, int]
    task_definition: str
    pid: int | None
    """The first process of its first container; none before it started and once the task has stopped."""
    child_pids: Sequence[int]
    """What that, and the other containers' processes, started in turn."""
    log: str

    @property
    def is_serving(self) -> bool:
        return self.last_status == "RUNNING" and self.desired_status == "RUNNING"


class LocalStack:
    """A stack that is up: `LocalStack.attach()` for one that runs, `LocalStack.up()` to start one and stop it after."""

    def __init__(self, layout: Layout, state: State) -> None:
        self.layout = layout
        self._first_state = state
        self._clients: dict[tuple[str, str | None], Any] = {}

    @classmethod
    def attach(cls, layout: Layout | None = None) -> LocalStack:
        """The stack that `make up` started. Raises LocalAwsError where none is up."""
        layout = layout or Layout()
        return cls(layout, State.read(layout.state))

    @classmethod
    @contextmanager
    def up(
        cls, layout: Layout | None = None, *, context: Mapping[str, str] | None = None, log: Path | None = None
    ) -> Iterator[LocalStack]:
        """Start one as a process of its own, which ends with ours; its lines go to LOG, or to our standard output."""
        layout = layout or Layout()
        words = [word for name, value in (context or {"compare": "nlb"}).items() for word in ("-c", f"{name}={value}")]
        command = [
            sys.executable,
            "-m",
            "local_aws",
            "--app",
            str(layout.app_folder),
            "--name",
            layout.name,
            "--tasks-as",
            layout.tasks_as,
            *(() if layout.seed is None else ("--seed", str(layout.seed))),
            *(() if layout.assembly is None else ("--assembly", str(layout.assembly))),
            "up",
            *words,
        ]
        output = log.open("wb") if log is not None else None
        started = time.monotonic()
        process = subprocess.Popen(
            dies_with_us(command),
            cwd=layout.root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            start_new_session=True,
        )
        try:
            yield cls(layout, _wait_for_state(layout, process, started + UP_SECONDS, log))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
            if output is not None:
                output.close()

    @property
    def addresses(self) -> State:
        """As of now: balancer tasks come and go, and `web` and `xds` with them."""
        return State.read(self.layout.state)

    def tasks(self, service: str | None = None) -> list[TaskInfo]:
        """Every task, stopped ones too, oldest first."""
        names = {field.name for field in fields(TaskInfo)}
        shown = self._ask(do="tasks")
        tasks = [TaskInfo(**{name: value for name, value in task.items() if name in names}) for task in shown]
        return sorted((task for task in tasks if service in (None, task.service)), key=lambda task: task.created_at)

    def serving(self, service: str) -> list[TaskInfo]:
        """The service's tasks that are running and wanted."""
        return [task for task in self.tasks(service) if task.is_serving]

    def task(self, reference: str) -> TaskInfo:
        """By ARN or id."""
        for task in self.tasks():
            if reference in (task.arn, task.id):
                return task
        raise LocalAwsError(f"a task must be named by its ARN or id, got {reference}; see: python -m local_aws tasks")

    def stop_task(self, reference: str, *, via: Literal["api", "control"] = "api") -> None:
        """As ECS does: SIGTERM, SIGKILL after its stop timeout. By `control` it works in an outage too."""
        if via == "control":
            self._ask(do="stop-task", task=reference)
        else:
            arn = self.task(reference).arn
            self.client("ecs").stop_task(cluster=arn.split("/")[-2], task=arn)

    def kill_task(self, reference: str) -> None:
        """SIGKILL every process of the task at once."""
        self._ask(do="kill-task", task=reference)

    def outage(self, mode: Literal["hang", "refuse", "none"]) -> None:
        """What every client of AWS meets from now on. ECS itself goes on working."""
        self._ask(do="outage", mode=mode)

    def services(self) -> list[dict[str, Any]]:
        """name, desired, running, and steady: all of it healthy, also to its load balancers."""
        return list(self._ask(do="services"))

    def balancers(self) -> list[dict[str, Any]]:
        """The load balancers, their listeners and healthy targets."""
        return list(self._ask(do="balancers"))

    def client(self, service: str, *, role: str | None = None) -> Any:
        """A boto3 client that goes through the front, so it meets outages as well; with a role's ARN, one that may do
        what the role's policies allow. It is made once: that takes longer than most of what it is for.
        """
        if (service, role) not in self._clients:
            made = client_of(self._first_state.aws_endpoint, self._first_state.region, service, role=role)
            self._clients[service, role] = made
        return self._clients[service, role]

    def _ask(self, **request: Any) -> Any:
        return control.ask_now(Path(self._first_state.control), request)


def _wait_for_state(layout: Layout, process: subprocess.Popen[bytes], deadline: float, log: Path | None) -> State:
    while time.monotonic() < deadline:
        if process.poll() is not None:
            told = log.read_text(errors="replace").strip() if log is not None else "see its lines above"
            raise LocalAwsError(f"the stack must come up, got exit code {process.returncode}: {told}")
        try:
            state = State.read(layout.state)
        except LocalAwsError:
            time.sleep(0.1)
            continue
        if state.pid == process.pid:
            return state
        time.sleep(0.1)
    raise LocalAwsError(f"the stack must come up within {UP_SECONDS:.0f} s")
