"""The balancer's image: built, or given."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cdk_grpc_lb.__main__ import main
from cdk_grpc_lb.staging import files_of, find_folder
from tests.cdk_grpc_lb.network.stacks import PREBUILT_NAME as PREBUILT
from tests.cdk_grpc_lb.template import Synthesised


def docker_images(synthesised: Synthesised, stack: str) -> dict[str, dict[str, object]]:
    manifest = json.loads((synthesised.directory / f"{stack}.assets.json").read_text())
    return {key: image["source"] for key, image in manifest["dockerImages"].items()}


def test_an_image_that_is_given_needs_no_docker(networks: dict[str, Synthesised]) -> None:
    synthesised = networks["Isolated"]
    assert synthesised.container("Balancer")["Image"] == PREBUILT
    assert docker_images(synthesised, "Isolated") == {}


def test_build_arguments_reach_docker_and_the_hash(networks: dict[str, Synthesised]) -> None:
    ((with_arguments, source),) = docker_images(networks["TwoRanges"], "TwoRanges").items()
    assert source["dockerBuildArgs"] == {"PIP_INDEX_URL": "https://packages.example.com/simple"}
    (without,) = docker_images(networks["PublicOnly"], "PublicOnly")
    assert with_arguments != without


def test_the_base_image_is_pinned_by_digest() -> None:
    dockerfile = (find_folder("proxy_image") / "Dockerfile").read_text()
    assert re.search(r"^ARG BASE_IMAGE=python:3\.\d+-slim@sha256:[0-9a-f]{64}$", dockerfile, re.MULTILINE)


def test_the_build_context_is_written_for_builders_without_the_cdk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "context"
    assert main(["build-context", str(folder)]) == 0
    for name in ("proxy_image", "grpc_lb_contract"):
        source = find_folder(name)
        assert [file.relative_to(source) for file in files_of(source)] == [
            file.relative_to(folder / name) for file in files_of(folder / name)
        ]
    assert f"--file {folder}/proxy_image/Dockerfile" in capsys.readouterr().out


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").touch()
    assert main(["build-context", str(tmp_path)]) == 1
    assert "must be new or empty" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
