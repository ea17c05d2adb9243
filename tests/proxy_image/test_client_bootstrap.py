"""The bootstrap with a zone: the program of the container that starts first, and clients that read what it wrote."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from grpc_lb_contract import Balancing, TrafficPolicy
from grpc_lb_contract.proxyless import BOOTSTRAP, bootstrap
from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from tests.proxy_image.control_plane.policies import treated
from tests.proxy_image.control_plane.support import backends, control_plane, settings_for, target
from tests.proxy_image.control_plane.xds.proxyless.harness import LANGUAGES, client_process
from tests.proxy_image.task_metadata import task_metadata


def write(path: Path, text: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "proxy_image.client_bootstrap", str(path)),
        env={**os.environ, BOOTSTRAP: text, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_client_prefers_the_zone_that_ecs_says_its_task_is_in(language: str, tmp_path: Path) -> None:
    # GIVEN a task in z1, and a service that prefers zones
    async with (
        backends("a", "b") as (a, b),
        control_plane(settings_for(tmp_path)) as plane,
        AdsServer(AdsService(plane.cache, plane.state, plane.state.clients), "127.0.0.1:0") as server,
    ):
        policy = TrafficPolicy(balancing=Balancing(prefer_zone=True))
        await plane.serve(treated(policy, target(a.port, zone="z1"), target(b.port, zone="z2")))
        file = tmp_path / "bootstrap.json"
        document = {"TaskARN": "arn:aws:ecs:r:1:task/c/t1", "AvailabilityZone": "z1"}
        with task_metadata(document) as url:
            done = write(
                file,
                bootstrap([f"127.0.0.1:{server.port}"], "client"),
                ECS_CONTAINER_METADATA_URI_V4=f"{url}/v4/id",
            )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"event": "bootstrap written", "node": "t1", "zone": "z1"}
        # WHEN a client has the file alone, THEN it calls the task of its zone
        async with client_process(language, "rng", {}, GRPC_XDS_BOOTSTRAP=str(file)) as client:
            assert await client.who(20) == {"a": 20}


def test_ecs_is_asked_again_where_it_does_not_know_the_zone_yet(tmp_path: Path) -> None:
    file = tmp_path / "bootstrap.json"
    with task_metadata({}, {"AvailabilityZone": "z1"}) as url:
        text = bootstrap(["127.0.0.1:1"], "client")
        assert write(file, text, ECS_CONTAINER_METADATA_URI_V4=f"{url}/v4/id").returncode == 0
    assert json.loads(file.read_text())["node"]["locality"] == {"zone": "z1"}


def test_without_a_zone_the_bootstrap_is_there_for_every_user(tmp_path: Path) -> None:
    file = tmp_path / "bootstrap.json"
    assert write(file, bootstrap(["127.0.0.1:1"], "client")).returncode == 0
    written = json.loads(file.read_text())
    assert written["node"]["locality"] == {"zone": ""}
    assert written["xds_servers"][0]["server_uri"] == "127.0.0.1:1"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


@pytest.mark.parametrize("text", ["", "no JSON", "[]"])
def test_what_is_no_bootstrap_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    done = write(tmp_path / "bootstrap.json", text)
    assert (done.returncode, (tmp_path / "bootstrap.json").exists()) == (2, False)
    assert done.stderr == f"error: {BOOTSTRAP} must be a bootstrap, a JSON object, got {text!r}\n"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    done = write(tmp_path, bootstrap(["127.0.0.1:1"], "client"))
    assert (done.returncode, done.stderr) == (
        2,
        f"error: FILE must be a file to write to, got {tmp_path}: Is a directory\n",
    )
