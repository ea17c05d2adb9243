"""What a container runs, from its image and its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local_aws.deploy.images import Image
from local_aws.errors import LocalAwsError
from local_aws.stand_in.ecs.between_containers import in_start_order, with_volumes
from local_aws.stand_in.ecs.container import Place, command_of, environment_of, health_check_of
from local_aws.stand_in.settings import Settings

IMAGE = Image(Path("/context"), ("python", "-m", "it"), ("--port", "1"), {"A": "image", "B": "image"})
PLACE = Place("id1", "127.0.9.20", "http://127.0.9.3:51678/v4/id1/app", Path("/run/id1"), Path("/logs/id1.log"))
SETTINGS = Settings(
    range_number=9,
    region="us-east-1",
    mark="/build/local",
    python="/venv/bin/python",
    envoy="/envoy",
    images="/images",
    bytecode="/bytecode",
    logs="/logs",
    runtime="/run",
    control="/run/ecs.sock",
)


def test_python_is_the_checkouts_own_and_the_definition_overrides_as_docker_does() -> None:
    assert command_of(IMAGE, {}, {}, "/py") == ["/py", "-m", "it", "--port", "1"]
    assert command_of(IMAGE, {"command": ["--port", "2"]}, {}, "/py") == ["/py", "-m", "it", "--port", "2"]
    assert command_of(IMAGE, {"entryPoint": ["/usr/bin/python3.13", "x"]}, {}, "/py") == ["/py", "x"]
    assert command_of(IMAGE, {"command": ["a"]}, {"command": ["b"]}, "/py") == ["/py", "-m", "it", "b"]
    assert command_of(Image(Path("/"), (), ("sleep", "1")), {}, {}, "/py") == ["sleep", "1"]
    with pytest.raises(LocalAwsError, match="add an ENTRYPOINT"):
        command_of(Image(Path("/"), (), ()), {}, {}, "/py")


def test_what_makes_a_process_this_very_task_cannot_be_overridden() -> None:
    declared = [{"name": "B", "value": "definition"}, {"name": "BIND_ADDRESS", "value": "0.0.0.0"}]
    environment = environment_of(
        IMAGE, {"environment": declared}, {"environment": [{"name": "C", "value": 3}]}, PLACE, SETTINGS
    )
    assert (environment["A"], environment["B"], environment["C"]) == ("image", "definition", "3")
    assert environment["BIND_ADDRESS"] == "127.0.9.20"
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.9.1:4566"
    assert environment["GRPC_LB_STATE_DIR"] == "/run/id1/state"


def test_nothing_of_the_users_shell_gets_into_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    environment = environment_of(IMAGE, {}, {}, PLACE, SETTINGS)
    assert not {"HTTP_PROXY", "AWS_PROFILE"} & set(environment)


def test_a_health_check_is_a_command_or_a_line_for_the_shell() -> None:
    check = health_check_of(
        {"healthCheck": {"command": ["CMD", "python", "-m", "x"], "retries": 5, "timeout": 3, "interval": 7}}
    )
    assert check is not None
    assert (check.command, check.retries, check.timeout_seconds) == (("python", "-m", "x"), 5, 3)
    assert check.interval_seconds == 7
    shell = health_check_of({"healthCheck": {"command": ["CMD-SHELL", "exit 0"]}})
    assert shell is not None
    assert (shell.command, shell.retries, shell.start_period_seconds) == (("/bin/sh", "-c", "exit 0"), 3, 0)
    assert shell.interval_seconds == 30
    assert health_check_of({}) is None


def test_a_container_starts_after_those_that_it_depends_on() -> None:
    def needs(name: str, *others: str) -> dict[str, Any]:
        return {"name": name, "dependsOn": [{"containerName": each, "condition": "SUCCESS"} for each in others]}

    ordered = in_start_order([needs("app", "b", "c"), needs("b", "c"), needs("c"), needs("d")])
    assert [each["name"] for each in ordered] == ["c", "b", "app", "d"]
    with pytest.raises(LocalAwsError, match="in no circle, got one at a, b"):
        in_start_order([needs("a", "b"), needs("b", "a"), needs("c")])


def test_what_one_container_writes_to_a_volume_another_one_finds(tmp_path: Path) -> None:
    writer = {"mountPoints": [{"containerPath": "/out", "sourceVolume": "v"}], "command": ["/out/f", "/outer"]}
    reader = {
        "mountPoints": [{"containerPath": "/etc/in", "sourceVolume": "v", "readOnly": True}],
        "environment": [{"name": "FILE", "value": "/etc/in/f"}],
    }
    written, other = with_volumes(writer, tmp_path)["command"]
    (variable,) = with_volumes(reader, tmp_path)["environment"]
    assert (written, other) == (variable["value"], "/outer")
    Path(written).touch()
