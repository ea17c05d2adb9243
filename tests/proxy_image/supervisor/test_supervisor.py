"""The supervisor on real processes: a real Envoy, and a small static control plane."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from proxy_image.envoy import alive
from proxy_image.envoy.binary import find_envoy
from tests.proxy_image.balancer import (
    Balancer,
    call,
    channel,
    is_alive,
    running_balancer,
    running_server,
    until,
    zombies_of,
)

sharing = pytest.mark.asyncio(loop_scope="module")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and only Linux has PR_SET_PDEATHSIG")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def serving(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Balancer]:
    """One for all tests that only look at it."""
    async with running_server() as target, running_balancer(tmp_path_factory.mktemp("serving"), target) as balancer:
        await balancer.ready()
        yield balancer


@sharing
async def test_a_balancer_starts_and_carries_a_call(serving: Balancer) -> None:
    async with channel(serving.address) as client:
        await call(client)


@linux
@sharing
async def test_envoys_allocator_may_use_restartable_sequences(serving: Balancer) -> None:
    pid = (await serving.event("envoy started"))["pid"]
    assert "GLIBC_TUNABLES=glibc.pthread.rseq=0" in environment_of(pid)


def environment_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


async def test_invariant_6_calls_flow_on_while_the_control_plane_is_gone(tmp_path: Path) -> None:
    # GIVEN a balancer that serves, and a control plane that dies and cannot come up
    absent = tmp_path / "absent"
    async with (
        running_server() as target,
        running_balancer(tmp_path / "state", target, {"ABSENT": str(absent)}) as balancer,
    ):
        await balancer.ready()
        absent.touch()
        os.kill((await balancer.event("control plane started"))["pid"], signal.SIGKILL)
        await balancer.event("control plane stopped", count=4)

        # WHEN clients new and old call, THEN their calls succeed, and the balancer stays ready
        for _ in range(5):
            async with channel(balancer.address) as client:
                await call(client)
        assert balancer.readiness() == 200

        # AND the restarts come ever more slowly
        waits = [event["restart_in_seconds"] for event in balancer.events("control plane stopped")]
        assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
        assert "SIGKILL" in balancer.events("control plane stopped")[0]["reason"]

        # AND once it can, it comes back, beside the same Envoy
        absent.unlink()
        starts = len(balancer.events("control plane started"))
        await balancer.event("control plane started", count=starts + 1)
        assert len(balancer.events("envoy started")) == 1


async def test_a_control_plane_that_hangs_is_replaced_while_envoy_serves_on(tmp_path: Path) -> None:
    # GIVEN a control plane that lives and no longer runs
    async with (
        running_server() as target,
        running_balancer(tmp_path, target, {"BEAT_SECONDS": "0.2"}) as balancer,
    ):
        await balancer.ready()
        first = (await balancer.event("control plane started"))["pid"]
        await asyncio.sleep(4)  # twice the silence that is allowed: one that beats is ejected
        assert balancer.events("control plane hangs, killing it") == []
        os.kill(first, signal.SIGSTOP)
        try:
            # WHEN it was silent for long enough, THEN it is killed, which is told, and another one comes
            hangs = await balancer.event("control plane hangs, killing it")
            assert (hangs["pid"], hangs["silent_seconds"]) == (first, 2.0)
            assert "SIGKILL" in (await balancer.event("control plane stopped"))["reason"]
            second = (await balancer.event("control plane started", count=2))["pid"]
        finally:
            if is_alive(first):
                os.kill(first, signal.SIGKILL)
        # AND the same envoy serves all the while
        async with channel(balancer.address) as client:
            await call(client)
        assert balancer.readiness() == 200
        assert len(balancer.events("envoy started")) == 1
        await asyncio.sleep(3)
        assert is_alive(second)
        assert len(balancer.events("control plane hangs, killing it")) == 1


async def test_envoy_comes_back_while_the_control_plane_serves_on(tmp_path: Path) -> None:
    async with running_server() as target, running_balancer(tmp_path, target) as balancer:
        await balancer.ready()
        control_plane = (await balancer.event("control plane started"))["pid"]

        # WHEN envoy is killed
        os.kill((await balancer.event("envoy started"))["pid"], signal.SIGKILL)

        # THEN a new one serves, with the listeners of the control plane that ran on
        await balancer.event("envoy started", count=2)
        await balancer.ready()
        async with channel(balancer.address) as client:
            await call(client)
        assert is_alive(control_plane)
        assert len(balancer.events("control plane started")) == 1


async def test_envoy_waits_for_a_control_plane_however_late(tmp_path: Path) -> None:
    # GIVEN a control plane that fails to start some times
    absent = tmp_path / "absent"
    absent.touch()
    async with (
        running_server() as target,
        running_balancer(tmp_path / "state", target, {"ABSENT": str(absent)}) as balancer,
    ):
        await balancer.event("control plane stopped", count=3)
        # THEN nothing listens, and yet envoy is alive, which is what a container's health check asks
        assert balancer.readiness() == 0
        await until(lambda: alive.is_alive(balancer.admin.path), "envoy's admin answers")
        # WHEN it is there, THEN the balancer becomes ready
        absent.unlink()
        await balancer.ready()


async def test_a_missing_envoy_is_told_and_tried_again(tmp_path: Path) -> None:
    # GIVEN settings that name an envoy that is not there
    binary = tmp_path / "envoy"
    async with (
        running_server() as target,
        running_balancer(tmp_path / "state", target, GRPC_LB_ENVOY_BINARY=str(binary)) as balancer,
    ):
        reason = (await balancer.event("envoy stopped", count=2))["reason"]
        assert reason == (
            f"envoy must be a file, there is none at {binary}: set GRPC_LB_ENVOY_BINARY to an Envoy, or unset it"
        )
        # WHEN it appears, THEN the balancer serves
        binary.symlink_to(find_envoy(None))
        await balancer.ready()


async def test_an_envoy_that_ends_at_once_is_told_with_its_own_words(tmp_path: Path) -> None:
    # GIVEN an envoy that refuses what it is given
    binary = tmp_path / "envoy"
    binary.write_text("#!/bin/sh\necho 'cannot do that' >&2\nexit 7\n")
    binary.chmod(0o755)
    async with running_balancer(tmp_path / "state", "127.0.0.1:1", GRPC_LB_ENVOY_BINARY=str(binary)) as balancer:
        stopped = await balancer.event("envoy stopped", count=3)
        # THEN its words and its exit code are in the log, and the control plane is not disturbed
        assert stopped["reason"] == "exit code 7"
        assert "cannot do that" in balancer.log.read_text()
        assert len(balancer.events("control plane started")) == 1


@sharing
async def test_invariant_12_envoys_admin_is_for_its_owner_alone(serving: Balancer) -> None:
    run_dir = serving.state_dir / "run"
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((run_dir / "admin.sock").stat().st_mode) == 0o600
    # AND over the network it answers on the listeners' two ports alone
    _, listening = serving.admin._request("GET", "/listeners")
    ports = {line.rpartition(":")[2] for line in listening.split() if line[-1].isdigit()}
    assert ports == {str(serving.ports["port"]), str(serving.ports["ready"])}


@linux
async def test_nothing_is_left_of_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    async with running_server() as target, running_balancer(tmp_path, target) as balancer:
        await balancer.ready()
        children = [balancer.events(f"{name} started")[0]["pid"] for name in ("envoy", "control plane")]
        assert all(map(is_alive, children))
        # WHEN the supervisor is killed, THEN its children die too
        balancer.process.kill()
        await until(lambda: not any(map(is_alive, children)), f"end of {children}")

        # AND the next one starts on the same directory and ports
        balancer.process.wait()
    async with running_server() as target, running_balancer(tmp_path, target) as balancer:
        await balancer.ready()


@linux
async def test_orphans_do_not_stay_as_zombies(tmp_path: Path) -> None:
    # GIVEN a supervisor that gets orphans, as the first process of a container does, and one that is about to end
    environment = {"SUBREAPER": "1", "ORPHAN": "1", "GRPC_LB_LOG_LEVEL": "debug"}
    async with running_server() as target, running_balancer(tmp_path, target, environment) as balancer:
        await balancer.event("orphan reaped")
        await balancer.ready()
        assert zombies_of(balancer.process.pid) == []


async def test_two_balancers_run_on_one_machine(tmp_path: Path) -> None:
    async with (
        running_server() as target,
        running_balancer(tmp_path / "1", target) as first,
        running_balancer(tmp_path / ("x" * 120), target) as second,
    ):
        # even where a state directory's path is too long for a unix socket's
        await first.ready()
        await second.ready()
        short = (tmp_path / ("x" * 120) / "run").readlink()
        assert short.is_dir()
        # AND the container's health check finds envoy there
        assert _health(tmp_path / ("x" * 120)) == 0
        second.process.terminate()
        assert await second.exited() == 0
        assert not short.exists()


async def test_a_second_balancer_on_the_same_state_directory_is_refused(tmp_path: Path) -> None:
    async with running_server() as target, running_balancer(tmp_path, target) as first:
        await first.ready()
        log = first.log.rename(tmp_path / "first.jsonl")
        async with running_balancer(tmp_path, target) as second:
            assert await second.exited() == 1
            assert second.log.read_text() == (
                "error: GRPC_LB_STATE_DIR (--state-dir) must be one balancer's own, "
                f"another one uses {tmp_path}: choose another\n"
            )
        first.log = log
        assert first.readiness() == 200


async def test_the_health_check_fails_where_no_envoy_answers(tmp_path: Path) -> None:
    assert _health(tmp_path) == 1


async def test_a_task_without_a_load_balancer_is_healthy_once_it_serves(tmp_path: Path) -> None:
    """GIVEN a balancer that has no document yet, THEN it is alive and not ready; WHEN it gets one, THEN it is ready,
    and stays it while the control plane hangs (invariant 6).
    """
    late = tmp_path / "late.json"
    async with (
        running_server() as target,
        # Without a targets file, the control plane would end at once, and the balancer with it.
        running_balancer(
            tmp_path,
            target,
            module="tests.proxy_image.run_late_control_plane",
            GRPC_LB_TARGETS_FILE=str(late),
            START_AFTER=str(late),
        ) as balancer,
    ):
        await until(lambda: _health(tmp_path) == 0, "an Envoy that is alive")
        assert _health(tmp_path, "--ready") == 1
        whole = tmp_path / "whole.json"
        whole.write_text(json.dumps({"services": [{"name": "test", "targets": [target]}]}))
        whole.rename(late)
        await balancer.ready()
        await until(lambda: _health(tmp_path, "--ready") == 0, "listeners")
        async with channel(balancer.address) as client:
            await call(client)
        control_plane = (await balancer.event("control plane started"))["pid"]
        os.kill(control_plane, signal.SIGSTOP)
        assert _health(tmp_path, "--ready") == 0
        os.kill(control_plane, signal.SIGCONT)
    assert _health(tmp_path, "--redy") == 2


def _health(state_dir: Path, *arguments: str) -> int:
    """As in a container whose balancer was told its source by a flag: no variable names it."""
    environment = {**os.environ, "GRPC_LB_STATE_DIR": str(state_dir)}
    command = [sys.executable, "-m", "proxy_image.health", *arguments]
    return subprocess.run(command, env=environment, check=False).returncode
