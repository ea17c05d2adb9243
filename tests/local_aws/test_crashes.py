"""Whatever dies, nothing is left running or listening."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from local_aws.cli import main
from local_aws.layout import Layout
from local_aws.lifecycle.state import State
from local_aws.lifecycle.up import told_when_ended
from local_aws.process import lock, processes
from local_aws.process.processes import RUN_MARK
from local_aws.stack import LocalStack
from tests.local_aws.conftest import small_layout
from tests.local_aws.leftovers import remove
from tests.local_aws.talk import Talk
from tests.local_aws.waiting import until
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.timeout(180)


class Run:
    def __init__(self, layout: Layout, log: Path) -> None:
        self.layout = layout
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local_aws", *self.words, "up", "-c", "small=true"],
                cwd=layout.root,
                stdout=output,
                stderr=output,
            )

    @property
    def words(self) -> list[str]:
        words = ["--app", str(self.layout.app_folder), "--name", self.layout.name]
        return [*words, *(() if self.layout.assembly is None else ("--assembly", str(self.layout.assembly)))]

    def stack(self) -> LocalStack:
        until("it is up", lambda: self.layout.state.exists() or self.process.poll() is not None, within=600)
        assert self.process.poll() is None, self.log.read_text()
        return LocalStack.attach(self.layout)

    def one_of_ours(self, words: str) -> int:
        """The process whose command line holds these words."""

        def found() -> list[int]:
            pids = [self.process.pid, *processes.descendants(self.process.pid)]
            return [pid for pid in pids if words in command_line(pid)]

        return until(f"a process of {words} is there", found)[0]

    def ended(self, within: float = PATIENCE_SECONDS) -> int:
        return self.process.wait(timeout=within)


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    with started(small_layout(f"crash-{abs(hash(request.node.name)) % 1000}"), tmp_path / "up.log") as run:
        yield run


@pytest.fixture
def synthesised(tmp_path: Path, request: pytest.FixtureRequest, assembly: Path) -> Iterator[Run]:
    """A run that has no app to synthesise."""
    layout = replace(small_layout(f"crash-{abs(hash(request.node.name)) % 1000}"), assembly=assembly)
    with started(layout, tmp_path / "up.log") as run:
        yield run


@contextmanager
def started(layout: Layout, log: Path) -> Iterator[Run]:
    run = Run(layout, log)
    yield run
    main([*run.words, "down"])
    if run.process.poll() is None:
        run.process.kill()
    run.process.wait()
    remove(layout)


def listening(number: str) -> list[str]:
    """Who listens on 127.0.NUMBER.*: /proc/net/tcp has the address as little-endian hex."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    suffix = f"{int(number):02X}007F"
    return [line[1] for line in lines if line[3] == "0A" and line[1].split(":")[0].endswith(suffix)]


def nothing_is_left(run: Run, runtime: Path) -> bool:
    return (
        not list(processes.marked(RUN_MARK, str(run.layout.run)))
        and lock.is_free(run.layout.lock)
        and not runtime.exists()
        and not run.layout.state.exists()
    )


def test_a_killed_up_leaves_nothing_running_or_listening(synthesised: Run) -> None:
    run = synthesised
    # GIVEN a stack that is up, with tasks whose children left their process group
    stack = run.stack()
    runtime = Path(stack.addresses.control).parent
    number = stack.addresses.aws_endpoint.split(".")[2]
    pids = [pid for task in stack.serving("echo") for pid in (task.pid, *task.child_pids) if pid is not None]
    assert len(pids) == 4
    assert listening(number)
    # WHEN `up` is killed
    os.kill(run.process.pid, signal.SIGKILL)
    # THEN all of it is gone within seconds
    until("nothing is left", lambda: nothing_is_left(run, runtime))
    assert all(processes.is_zombie(pid) for pid in pids)
    until("nothing listens", lambda: not listening(number))


def test_after_a_crash_of_up_and_its_guard_down_stops_the_rest(
    synthesised: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run = synthesised
    # GIVEN a stack that is up
    stack = run.stack()
    addresses = stack.addresses
    runtime = Path(addresses.control).parent
    # it cannot be started twice
    second = subprocess.run(
        [sys.executable, "-m", "local_aws", *run.words, "up"],
        cwd=run.layout.root,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert second.returncode == 1
    assert second.stderr == f"error: it is up already (process {run.process.pid}); stop it: make down\n"
    # its load balancer comes back when it is killed
    nlb = stack.balancers()[0]
    os.kill(run.one_of_ours("bootstrap.json"), signal.SIGKILL)
    until("nothing is healthy", lambda: not stack.balancers()[0]["listeners"][0]["healthy"])
    until("all is healthy again", lambda: len(stack.balancers()[0]["listeners"][0]["healthy"]) == 2)
    with Talk(nlb["address"]) as talk:
        assert talk.task_id in {task.id for task in stack.serving("echo")}
    # WHEN both `up` and its guard are killed
    guard = run.one_of_ours("guard.py")
    for pid in (guard, run.process.pid):
        os.kill(pid, signal.SIGKILL)
    run.ended()
    # THEN `down` stops what is left
    capsys.readouterr()
    assert main([*run.words, "down"]) == 0
    assert nothing_is_left(run, runtime)
    assert main([*run.words, "down"]) == 0
    assert capsys.readouterr().out.endswith("nothing was up\n")
    assert main([*run.words, "tasks"]) == 1
    assert (
        capsys.readouterr().err
        == f"error: the local AWS must be up, got no {run.layout.state.name}; start it: make up\n"
    )


@pytest.mark.parametrize("victim", ["local_aws.stand_in", "guard.py"])
def test_when_what_up_stands_on_dies_up_says_so_and_stops_all(run: Run, victim: str) -> None:
    os.kill(run.one_of_ours(victim), signal.SIGKILL)
    assert run.ended() == 1
    assert "ended (signal SIGKILL)" in run.log.read_text()
    assert "make up" in run.log.read_text().splitlines()[-1]
    assert not list(processes.marked(RUN_MARK, str(run.layout.run)))


async def test_what_ends_too_early_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "aws.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "print('started'); raise SystemExit('the port is taken')"),
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    assert await told_when_ended("it", process, log) == (
        f"it ended (exit code 1); its log {log} ends:\n  started\n  the port is taken\n"
    )


def test_an_interrupt_while_it_starts_stops_it_cleanly(run: Run) -> None:
    run.one_of_ours("cdk synth")
    run.process.send_signal(signal.SIGINT)
    assert run.ended() == 0
    assert run.log.read_text().splitlines()[-1] == "stopped"
    assert not list(processes.marked(RUN_MARK, str(run.layout.run)))


def test_down_never_kills_a_process_that_only_has_the_id_of_up(tmp_path: Path) -> None:
    # GIVEN a lock file that names a living process with another start time, as after a recycled id
    layout = small_layout("recycled")
    layout.lock.write_text(f'{{"pid": {os.getpid()}, "started": 1}}')
    # WHEN it is stopped THEN this process, which has that id, lives on
    assert lock.owner(layout.lock) is None
    assert main(["--name", layout.name, "down"]) == 0
    remove(layout)


def test_a_state_file_is_complete_or_not_there(tmp_path: Path) -> None:
    state = State(
        balancer="127.0.9.10:50051",
        comparison=None,
        web=("http://127.0.9.20:8080",),
        xds=(),
        aws_endpoint="http://127.0.9.1:4566",
        region="us-east-1",
        stack="S",
        cluster="C",
        service="",
        balancer_service="",
        parameter_prefix="/p",
        control="/c",
        pid=1,
    )
    state.write(tmp_path / "local.json")
    assert State.read(tmp_path / "local.json") == state
    assert [file.name for file in tmp_path.iterdir()] == ["local.json"]
