"""`python -m proxy_image` as its user meets it: help, mistakes, ports that are taken."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from grpc_lb_contract import TargetState
from proxy_image.__main__ import TARGETS_FILE, _overlay
from proxy_image.control_plane.sources.targets_file import TargetsFileError, parse_targets
from proxy_image.settings import VARIABLES
from tests.imports import loaded_by
from tests.ports import free_ports


def run(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    own = {name: value for name, value in os.environ.items() if name not in {one.name for one in VARIABLES}}
    return subprocess.run(
        [sys.executable, "-m", "proxy_image", *arguments],
        env={**own, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_help_names_every_variable_and_its_default() -> None:
    told = " ".join(run("--help").stdout.split())
    for variable in VARIABLES:
        if variable.flag is not None:
            assert f"{variable.flag} " in told
            assert f"[{variable.name}" in told
            assert variable.default is None or f"{variable.name}; default {variable.default}]" in told


def test_the_targets_file_of_the_help_is_one_and_has_every_field() -> None:
    (orders,) = parse_targets(TARGETS_FILE, "the help").services
    assert [(target.ip, target.zone, target.state) for target in orders.targets] == [
        ("10.0.0.1", "", TargetState.SERVING),
        ("10.0.0.2", "a", TargetState.DRAINING),
    ]
    for unknown in (TARGETS_FILE.replace(key, "unknown") for key in re.findall('"([a-z_]+)":', TARGETS_FILE)):
        with pytest.raises(TargetsFileError, match="fields of ") as raised:
            parse_targets(unknown, "the help")
        allowed = str(raised.value).partition(" must be ")[2].partition(", got ")[0]
        assert all(f'"{field}":' in TARGETS_FILE for field in allowed.split(", "))


def test_each_mistake_is_one_line_without_a_traceback() -> None:
    done = run(GRPC_LB_PORT="http", GRPC_LB_LOG_LEVEL="loud")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: GRPC_LB_PORT (--port) must be a whole number 1..65535, got 'http'",
        "error: GRPC_LB_LOG_LEVEL (--log-level) must be one of debug, info, warning, error, got 'loud'",
        "error: GRPC_LB_PARAMETER_PREFIX (--parameter-prefix) is missing: set it to an SSM path, "
        "or set GRPC_LB_TARGETS_FILE (--targets) to a targets file",
    ]


def test_every_taken_port_is_told_with_the_setting_to_change(tmp_path: Path) -> None:
    ports = free_ports(4)
    with socket.create_server(("127.0.0.1", ports[0])), socket.create_server(("127.0.0.1", ports[2])):
        done = run(
            *("--targets", "x.json", "--bind", "127.0.0.1", "--state-dir", str(tmp_path)),
            *("--port", str(ports[0]), "--ready-port", str(ports[1])),
            *("--web-port", str(ports[2]), "--xds-port", str(ports[3])),
        )
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("error")] == [
        f"error: GRPC_LB_PORT (--port) must be a free port, {ports[0]} on 127.0.0.1 "
        "is taken by another program: stop it, or choose another port",
        f"error: GRPC_LB_WEB_PORT (--web-port) must be a free port, {ports[2]} on 127.0.0.1 "
        "is taken by another program: stop it, or choose another port",
    ]
    assert "started" not in done.stderr


def test_a_state_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("--targets", "x.json", "--state-dir", str(tmp_path / "file" / "state"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: GRPC_LB_STATE_DIR (--state-dir) must be a directory to write to")
    assert "Traceback" not in done.stderr


def test_an_address_of_another_machine_is_told(tmp_path: Path) -> None:
    done = run("--targets", "x.json", "--bind", "192.0.2.1", "--state-dir", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "error: BIND_ADDRESS (--bind) must be an address of this machine, got 192.0.2.1\n"


def test_flags_win_over_variables() -> None:
    env = {"GRPC_LB_PORT": "1", "GRPC_LB_WEB_PORT": "2", "GRPC_LB_RUN_DIR": "/elsewhere"}
    assert _overlay(env, {"port": "3", "web_port": None}) == {"GRPC_LB_PORT": "3", "GRPC_LB_WEB_PORT": "2"}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"targets_file": "x.json"}, {"GRPC_LB_TARGETS_FILE": "x.json"}),
        ({"parameter_prefix": "/b"}, {"GRPC_LB_PARAMETER_PREFIX": "/b"}),
        ({}, {"GRPC_LB_PARAMETER_PREFIX": "/a"}),
    ],
)
def test_a_source_given_as_a_flag_replaces_any_other(flags: dict[str, str], expected: dict[str, str]) -> None:
    assert _overlay({"GRPC_LB_PARAMETER_PREFIX": "/a"}, flags) == expected


def test_the_supervisor_needs_nothing_but_the_standard_library() -> None:
    # so that it starts, and drains, whatever is wrong with the control plane's packages
    loaded = {name.partition(".")[0] for name in loaded_by("import proxy_image.__main__, proxy_image.health")}
    unknown = loaded - set(sys.stdlib_module_names) - {"proxy_image", "__main__"}
    assert not unknown & {"grpc", "boto3", "botocore", "google", "envoy", "starlette", "uvicorn", "prometheus_client"}


def test_settings_that_the_control_plane_refuses_at_the_start_end_it_all(tmp_path: Path) -> None:
    # GIVEN a targets file that only the control plane can judge
    (tmp_path / "targets.json").write_text("{")
    ports = free_ports(4)
    done = run(
        *("--targets", str(tmp_path / "targets.json"), "--bind", "127.0.0.1", "--state-dir", str(tmp_path / "state")),
        *("--port", str(ports[0]), "--ready-port", str(ports[1])),
        *("--web-port", str(ports[2]), "--xds-port", str(ports[3])),
    )
    # THEN its sentence is there once, and the balancer is not started over and over
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("error")] == [
        f"error: targets file {tmp_path}/targets.json must be JSON: "
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    ]
