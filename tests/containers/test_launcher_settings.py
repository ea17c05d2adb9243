"""What podman and ip are told: pure functions of a task and its container definition."""

from __future__ import annotations

import resource
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from local_aws.containers import podman
from local_aws.stand_in.ecs import podman as launcher
from local_aws.stand_in.ecs import task_network
from local_aws.stand_in.ecs.container import Place
from tests.containers.running import settings

PLACE = Place("0123456789abcdef", "10.88.0.20", "http://10.88.0.3:51678/v4/0/app", Path("/r"), Path("/l"))
DEFINITION: dict[str, Any] = {
    "name": "app",
    "image": "0.dkr.ecr.us-east-1.amazonaws.com/assets:abc",
    "environment": [{"name": "A", "value": "1"}, {"name": "AWS_REGION", "value": "mars-1"}],
    "user": "10001:10001",
    "ulimits": [{"name": "nofile", "softLimit": 1000, "hardLimit": 2000}],
    "mountPoints": [{"sourceVolume": "state", "containerPath": "/state"}],
}


def arguments(folder: Path, **more: Any) -> list[str]:
    return launcher.run_arguments(DEFINITION | more, {}, PLACE, settings(folder), pid_file=folder / "pid")


def values(words: list[str], flag: str) -> list[str]:
    return [value for name, value in pairwise(words) if name == flag]


def test_a_container_is_hardened_whatever_its_definition_says(tmp_path: Path) -> None:
    words = arguments(tmp_path, readonlyRootFilesystem=False, privileged=True)
    assert {"--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges"} <= {*words}
    assert "--privileged" not in words
    assert values(words, "--user") == ["10001:10001"]
    assert values(words, "--network") == ["ns:/run/netns/task-0123456789ab"]


def test_a_container_runs_the_image_of_its_asset_with_the_definitions_settings(tmp_path: Path) -> None:
    words = arguments(tmp_path)
    assert words[-1] == "localhost/grpc-lb:abc"
    environment = dict(value.split("=", 1) for value in values(words, "--env"))
    assert (environment["A"], environment["AWS_REGION"]) == ("1", "us-east-1")
    assert environment["AWS_ENDPOINT_URL"] == "http://10.88.0.1:4566"
    assert not {"BIND_ADDRESS", "TMPDIR", "GRPC_LB_STATE_DIR", "PATH"} & environment.keys()
    assert "nofile=1000:2000" in values(words, "--ulimit")
    assert values(words, "--volume") == ["0123456789ab-state:/state:rw"]


def test_an_entry_point_and_a_command_go_where_podman_takes_them(tmp_path: Path) -> None:
    words = arguments(tmp_path, entryPoint=["python", "-c", "code"], command=["more"])
    assert values(words, "--entrypoint") == ["python"]
    assert words[-4:] == ["localhost/grpc-lb:abc", "-c", "code", "more"]
    assert arguments(tmp_path, command=["a"])[-2:] == ["localhost/grpc-lb:abc", "a"]


def test_no_limit_is_above_what_this_machine_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (10, 20))
    assert launcher.ulimits(DEFINITION) == ["nofile=20:20", "nproc=20:20"]
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (10, resource.RLIM_INFINITY))
    assert launcher.ulimits({}) == ["nofile=65535:65535", "nproc=32768:32768"]
    assert 'default_ulimits = ["nofile=65535:65535"' in podman.containers_conf()


def test_names_of_interfaces_fit_and_differ_for_every_task() -> None:
    names = {task_network.link_name(f"10.88.0.{host}") for host in range(255)}
    assert len(names) == 255
    assert all(len(name) <= 15 for name in {*names, task_network.BRIDGE_NAME})  # IFNAMSIZ
    assert len({task_network.namespace_name(f"{number:032x}"[::-1]) for number in range(100)}) == 100


def test_what_a_task_gets_is_taken_away_again() -> None:
    made = task_network.to_make("0123456789abcdef", "10.88.0.20")
    assert made[1].startswith("link add task20 type veth peer name eth0 address 0a:00:0a:58:00:14 ")
    assert task_network.to_take_away("0123456789abcdef", "10.88.0.20") == [
        "link delete task20",
        "netns delete task-0123456789ab",
    ]
