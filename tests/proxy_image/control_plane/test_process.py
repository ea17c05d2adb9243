"""`python -m proxy_image.control_plane` as a process."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy_image.settings import Settings, to_environment
from proxy_image.supervisor import heartbeat
from proxy_image.supervisor.heartbeat import Ear
from tests.proxy_image.control_plane.support import (
    Answer,
    Backend,
    ask,
    backends,
    eventually,
    running_envoy,
    settings_for,
    who,
)
from tests.waiting import PATIENCE_SECONDS


def targets_file(tmp_path: Path, *servers: Backend) -> Path:
    path = tmp_path / "targets.json"
    addresses = [f"127.0.0.1:{server.port}" for server in servers]
    path.write_text(json.dumps({"services": [{"name": "rng", "targets": addresses}]}))
    return path


def file_settings(tmp_path: Path, path: Path, **more: str) -> Settings:
    return settings_for(
        tmp_path / "state",
        GRPC_LB_PARAMETER_PREFIX="",
        GRPC_LB_TARGETS_FILE=str(path),
        GRPC_LB_POLL_SECONDS="0.1",
        **more,
    )


@dataclass
class Process:
    settings: Settings
    process: asyncio.subprocess.Process
    log: Path

    async def get(self, path: str) -> Answer:
        return await ask(http.client.HTTPConnection("127.0.0.1", self.settings.web_port, PATIENCE_SECONDS), path)

    async def health(self) -> dict[str, Any]:
        answer = await self.get("/healthz")
        assert answer.status == 200
        health: dict[str, Any] = answer.json()
        return health

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.log.read_text().splitlines()]


@asynccontextmanager
async def running(settings: Settings, **env: str) -> AsyncIterator[Process]:
    log = settings.state_dir / "control-plane.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "proxy_image.control_plane",
            env={**os.environ, **to_environment(settings), **env},
            stderr=output,
        )
    try:
        yield Process(settings, process, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def run_to_end(env: dict[str, str]) -> tuple[int, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GRPC_LB_", "AWS_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proxy_image.control_plane",
        env={**kept, **env},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    assert process.returncode is not None
    return process.returncode, errors.decode()


async def test_a_targets_file_is_served_and_followed(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        settings = file_settings(tmp_path, targets_file(tmp_path, a))
        started = time.monotonic()
        async with running(settings) as control, running_envoy(settings) as envoy, envoy.channel() as channel:
            await eventually(settings.ads_socket.exists)
            await envoy.ready()
            assert await who(channel, 10) == {"a": 10}
            targets_file(tmp_path, a, b)
            await envoy.has(a.port, b.port)
            assert await who(channel, 10) == {"a": 5, "b": 5}
            health = await control.health()
            assert health["envoy_connected"] is True
            assert (health["origin"], health["services"], health["targets"]) == ("file", 1, 2)
            assert 0 <= health["target_list_age_seconds"] < time.monotonic() - started
            assert health["problem"] is None
            (tmp_path / "targets.json").write_text("{")

            async def has_problem() -> bool:
                return (await control.health())["problem"] is not None

            await eventually(has_problem)
            assert await who(channel, 10) == {"a": 5, "b": 5}


async def test_invariant_6_calls_flow_while_the_control_plane_is_killed_and_comes_back(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        settings = file_settings(tmp_path, targets_file(tmp_path, a, b))
        async with running_envoy(settings) as envoy, envoy.channel() as channel:
            async with running(settings) as control:
                await envoy.ready()
                control.process.send_signal(signal.SIGKILL)
                assert await who(channel, 100) == {"a": 50, "b": 50}
            targets_file(tmp_path, b)
            async with running(settings):
                await envoy.has(b.port)
                assert await who(channel, 10) == {"b": 10}


async def test_sigterm_ends_it_cleanly_and_soon(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        settings = file_settings(tmp_path, targets_file(tmp_path, a))
        async with running(settings) as control, running_envoy(settings) as envoy:
            await envoy.ready()
            await eventually(control.health)
            control.process.terminate()
            assert await asyncio.wait_for(control.process.wait(), PATIENCE_SECONDS) == 0
            assert "control plane stops" in control.events()


async def test_it_gives_signs_of_life_to_its_supervisor(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        settings = file_settings(tmp_path, targets_file(tmp_path, a))
        with closing(Ear(settings.heartbeat_socket)) as ear:
            async with running(settings) as control:
                pid = control.process.pid
                for _ in range(heartbeat.SILENT_TURNS):
                    ear.listen(pid)

                def is_heard() -> bool:
                    ear.listen(pid)
                    return ear.silent_turns == 0

                await eventually(is_heard)


async def test_metrics_are_readable_by_prometheus(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        settings = file_settings(tmp_path, targets_file(tmp_path, a))
        started = time.monotonic()
        async with running(settings) as control:
            await eventually(control.health)
            answer = await control.get("/metrics")
            families = {family.name: family for family in text_string_to_metric_families(answer.text)}
            assert all(name.startswith("grpc_lb_") and family.documentation for name, family in families.items())
            (serving,) = [one for one in families["grpc_lb_targets"].samples if one.labels["state"] == "serving"]
            assert (serving.labels["service"], serving.value) == ("rng", 1)
            assert families["grpc_lb_documents_applied"].samples[0].value == 1
            assert 0 <= families["grpc_lb_target_list_age_seconds"].samples[0].value < time.monotonic() - started
            assert (await control.get("/nothing")).status == 404


async def test_taken_ports_cost_their_own_servers_only_and_are_taken_when_free(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        settings = file_settings(tmp_path, targets_file(tmp_path, a))
        with (
            socket.create_server(("127.0.0.1", settings.web_port)),
            socket.create_server(("127.0.0.1", settings.xds_port)) as xds,
        ):
            async with running(settings) as control, running_envoy(settings) as envoy, envoy.channel() as channel:
                await envoy.ready()
                assert await who(channel, 2) == {"a": 2}
                await eventually(lambda: control.events().count("port not available") == 2)
                xds.close()
                async with grpc.aio.insecure_channel(f"127.0.0.1:{settings.xds_port}") as clients:
                    await asyncio.wait_for(clients.channel_ready(), PATIENCE_SECONDS)
                assert control.events().count("port not available") == 2


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({}, "GRPC_LB_PARAMETER_PREFIX"),
        ({"GRPC_LB_PARAMETER_PREFIX": "/x"}, "AWS_REGION is missing"),
        ({"GRPC_LB_PARAMETER_PREFIX": "x y", "GRPC_LB_PORT": "many"}, "GRPC_LB_PORT"),
        ({"GRPC_LB_TARGETS_FILE": "/none/targets.json"}, "targets file /none/targets.json cannot be read"),
    ],
)
async def test_a_wrong_setting_is_said_in_a_line_without_a_traceback(
    tmp_path: Path, env: dict[str, str], message: str
) -> None:
    code, errors = await run_to_end({"GRPC_LB_STATE_DIR": str(tmp_path), **env})
    assert code == 2
    assert message in errors
    assert all(line.startswith("error: ") for line in errors.splitlines())


async def test_a_targets_file_that_is_not_json_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "targets.json").write_text("services:\n")
    path = tmp_path / "targets.json"
    code, errors = await run_to_end({"GRPC_LB_STATE_DIR": str(tmp_path), "GRPC_LB_TARGETS_FILE": str(path)})
    assert code == 2
    assert errors.startswith(f"error: targets file {path} must be JSON")
    assert len(errors.splitlines()) == 1


async def test_a_run_directory_that_is_not_there_is_said_in_a_line(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        path = targets_file(tmp_path, a)
        env = {"GRPC_LB_STATE_DIR": str(tmp_path / "none"), "GRPC_LB_TARGETS_FILE": str(path)}
        code, errors = await run_to_end(env)
    assert code == 1
    assert "error: cannot listen on unix:" in errors
    assert "Traceback" not in errors
