"""Folders in the place of images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local_aws.deploy.docker_stub import IMAGES_VARIABLE
from local_aws.deploy.images import Image, ImageStore, read_dockerfile
from local_aws.errors import LocalAwsError
from local_aws.layout import ROOT


def read(text: str, target: str | None = None) -> Image:
    return read_dockerfile(text, Path("/context"), target)


def test_the_last_stage_says_what_runs() -> None:
    image = read(
        """
        # syntax=docker/dockerfile:1
        FROM python:3.13 AS build
        ENTRYPOINT ["make"]
        ENV KIND=build
        FROM python:3.13-slim
        ENV A=1 B="two words" \\
            C=3
        env OLD the old form
        # ENTRYPOINT ["no"]
        ENTRYPOINT ["python", "-m", "it"]
        CMD ["--port", "1"]
        """
    )
    assert image.entrypoint == ("python", "-m", "it")
    assert image.command == ("--port", "1")
    assert image.environment == {"A": "1", "B": "two words", "C": "3", "OLD": "the old form"}


def test_a_target_stage_ends_the_reading_and_the_shell_form_goes_to_a_shell() -> None:
    text = 'FROM a AS one\nCMD echo "$HOME"\nFROM one AS two\nCMD ["two"]'
    assert read(text, "one").command == ("/bin/sh", "-c", 'echo "$HOME"')
    assert read(text).command == ("two",)


def test_an_entrypoint_resets_the_command_before_it() -> None:
    assert read('FROM a\nCMD ["x"]\nENTRYPOINT ["y"]').command == ()


def docker(images: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local_aws.deploy.docker_stub", *words],
        cwd=images.parent,
        env=os.environ | {IMAGES_VARIABLE: str(images), "PYTHONPATH": str(ROOT)},
        input="password",
        capture_output=True,
        text=True,
    )


def test_what_cdk_deploy_asks_of_docker_leads_from_the_tag_to_the_folder(tmp_path: Path) -> None:
    # GIVEN a folder with a Dockerfile in a folder of it
    (tmp_path / "context" / "app").mkdir(parents=True)
    (tmp_path / "context" / "app" / "Dockerfile").write_text('FROM x\nENTRYPOINT ["python", "-m", "app"]\n')
    images = tmp_path / "images"
    # WHEN it is built and pushed as the CDK CLI does
    assert docker(images, "inspect", "cdkasset-1").returncode == 1
    build = (
        "build",
        "--build-arg",
        "A=b",
        "--tag",
        "cdkasset-1",
        "--file",
        "app/Dockerfile",
        "--platform",
        "linux/amd64",
    )
    assert docker(images, *build, str(tmp_path / "context")).returncode == 0
    assert docker(images, "inspect", "cdkasset-1").returncode == 0
    assert docker(images, "login", "--username", "AWS", "--password-stdin", "registry").returncode == 0
    assert docker(images, "tag", "cdkasset-1", "registry:4566/repository:1").returncode == 0
    assert docker(images, "push", "registry:4566/repository:1").returncode == 0
    # THEN the launcher finds it, by whatever name of the registry
    found = ImageStore(images).find("000000000000.dkr.ecr.us-east-1.amazonaws.com/repository:1")
    assert (found.context, found.entrypoint) == (tmp_path / "context", ("python", "-m", "app"))


def test_a_folder_without_its_dockerfile_and_an_unknown_command_are_refused(tmp_path: Path) -> None:
    refused = docker(tmp_path / "images", "build", "--tag", "t", str(tmp_path))
    assert refused.returncode == 2
    assert (
        refused.stderr == f"error: an image's folder must hold its Dockerfile, got none at {tmp_path / 'Dockerfile'}\n"
    )
    assert docker(tmp_path / "images", "run", "t").stderr.endswith("got run\n")


def test_an_image_that_is_not_of_the_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        LocalAwsError, match=r"from an asset of the app .* got nginx:latest; use ContainerImage.from_asset"
    ):
        ImageStore(tmp_path).find("nginx:latest")
