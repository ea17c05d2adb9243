"""The assets: the same whatever lies about in their folders. tests/examples compares checkout and wheel."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import sys
from pathlib import Path

import aws_cdk as cdk
import pytest

from app import ROOT
from cdk_grpc_lb.__main__ import main
from cdk_grpc_lb.balancer.image import IMAGE_FOLDERS
from cdk_grpc_lb.balancer.target_sync import LAMBDA_FOLDERS
from cdk_grpc_lb.staging import digest, files_of, find_folder, read, stage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that assets are made of, as `git clone` puts it on another machine."""
    made = tmp_path / "lambda_src"
    shutil.copytree(ROOT / "lambda_src", made, ignore=shutil.ignore_patterns("__pycache__"))
    return made


def test_what_a_machine_leaves_in_a_folder_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(read([folder]))
    monkeypatch.setattr(sys, "pycache_prefix", None)
    compileall.compile_dir(folder, quiet=1)
    (folder / "__pycache__" / "left.txt").write_text("by a tool")
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_it.py").write_text("")
    (folder / "stale.pyc").write_bytes(b"\0")
    for file in folder.rglob("*.py"):
        os.utime(file, (0, 0))
    assert digest(read([folder])) == before
    assert {file.suffix for file in files_of(folder)} <= {".py", ".typed", ".txt", ".in", ""}


def test_a_changed_file_changes_the_asset(folder: Path) -> None:
    before = digest(read([folder]))
    (folder / "added.py").write_text("x = 1\n")
    added = digest(read([folder]))
    (folder / "added.py").rename(folder / "renamed.py")
    assert len({before, added, digest(read([folder]))}) == 3


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


def test_any_user_can_read_an_asset_whatever_umask_it_was_made_with(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        staged = stage(cdk.Stack(cdk.App(outdir=str(tmp_path)), "Stack"), "lambda_src", "grpc_lb_contract")
        assert main(["build-context", str(tmp_path / "context")]) == 0
    finally:
        os.umask(before)
    for folder in (Path(staged), tmp_path / "context"):
        modes = {(entry.is_dir(), entry.stat().st_mode & 0o777) for entry in folder.rglob("*")}
        assert modes == {(True, 0o755), (False, 0o644)}


def test_cdk_watch_follows_every_folder_that_an_asset_is_made_of() -> None:
    watched = json.loads((ROOT / "cdk.json").read_text())["watch"]["include"]
    assert {f"{folder}/**" for folder in (*LAMBDA_FOLDERS, *IMAGE_FOLDERS, "rng_service")} <= set(watched)


def test_a_folder_is_staged_once(tmp_path: Path) -> None:
    stack = cdk.Stack(cdk.App(outdir=str(tmp_path)), "Stack")
    first = stage(stack, "lambda_src", "grpc_lb_contract")
    assert stage(stack, "lambda_src", "grpc_lb_contract") == first
    assert {entry.name for entry in Path(first).parent.iterdir()} == {Path(first).name}
