"""The assets: the same from a checkout and from an installed wheel, whatever lies about in their folders."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import aws_cdk as cdk
import pytest

from app import ROOT
from cdk_grpc_lb.staging import digest, files_of, find_folder, stage

FOLDERS = ("cdk_grpc_lb", "grpc_lb_contract", "lambda_src", "proxy_image")
SYNTH = """
import json, pathlib, sys
import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2, aws_ecs as ecs
import cdk_grpc_lb
assert pathlib.Path(cdk_grpc_lb.__file__).is_relative_to(sys.argv[1]), cdk_grpc_lb.__file__
app = cdk.App(outdir=sys.argv[2])
stack = cdk.Stack(app, "Stack")
vpc = ec2.Vpc(stack, "Vpc", restrict_default_security_group=False)
cdk_grpc_lb.GrpcBalancer(stack, "Balancer", cluster=ecs.Cluster(stack, "Cluster", vpc=vpc))
app.synth()
assets = json.loads((pathlib.Path(app.outdir) / "Stack.assets.json").read_text())
zipped = [key for key, asset in assets["files"].items() if asset["source"]["packaging"] == "zip"]
print(json.dumps([zipped, list(assets["dockerImages"])]))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The folders that assets are made of, as `git clone` puts them on another machine."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tmp_path / "checkout" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "checkout")
    (tmp_path / "checkout" / "README.md").write_text("For the wheel's metadata.\n")
    return tmp_path / "checkout"


def test_a_wheel_makes_the_same_assets_as_the_checkout(checkout: Path, tmp_path: Path) -> None:
    """GIVEN the wheel, installed with its byte code, WHEN both synthesise, THEN every asset's hash is the same."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=checkout,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    assert compileall.compile_dir(installed, quiet=1)
    assert list(installed.rglob("__pycache__"))

    running = [
        subprocess.Popen(
            [sys.executable, "-c", SYNTH, str(place), str(tmp_path / f"{place.name}.out")],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(place), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for place in (checkout, installed)
    ]
    (from_checkout, errors), (from_wheel, more_errors) = (process.communicate(timeout=60) for process in running)
    assert (errors, more_errors) == ("", "")
    files, images = json.loads(from_checkout)
    assert (len(files), len(images)) == (1, 1)
    assert json.loads(from_wheel) == [files, images]


def test_what_a_machine_leaves_in_a_folder_changes_nothing(checkout: Path) -> None:
    folder = checkout / "lambda_src"
    before = digest([folder])
    compileall.compile_dir(folder, quiet=1)
    (folder / "__pycache__" / "left.txt").write_text("by a tool")
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_it.py").write_text("")
    (folder / "stale.pyc").write_bytes(b"\0")
    for file in folder.rglob("*.py"):
        os.utime(file, (0, 0))
    assert digest([folder]) == before
    assert {file.suffix for file in files_of(folder)} <= {".py", ".typed", ".txt", ".in", ""}


def test_a_changed_file_changes_the_asset(checkout: Path) -> None:
    folder = checkout / "lambda_src"
    before = digest([folder])
    (folder / "added.py").write_text("x = 1\n")
    added = digest([folder])
    (folder / "added.py").rename(folder / "renamed.py")
    assert len({before, added, digest([folder])}) == 3


def test_an_installed_folder_is_preferred_to_one_beside_the_package(tmp_path: Path) -> None:
    package = tmp_path / "cdk_grpc_lb"
    (tmp_path / "lambda_src").mkdir()
    package.mkdir()
    assert find_folder("lambda_src", package) == tmp_path / "lambda_src"
    (package / "_assets" / "lambda_src").mkdir(parents=True)
    assert find_folder("lambda_src", package) == package / "_assets" / "lambda_src"


def test_a_folder_that_is_nowhere_is_an_error_that_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"lambda_src must be at .*_assets/lambda_src \(installed\) or .*"):
        find_folder("lambda_src", tmp_path / "cdk_grpc_lb")


def test_a_folder_is_staged_once(stack: cdk.Stack) -> None:
    first = stage(stack, "lambda_src", "grpc_lb_contract")
    assert stage(stack, "lambda_src", "grpc_lb_contract") == first
    assert {entry.name for entry in Path(first).parent.iterdir()} == {Path(first).name}
