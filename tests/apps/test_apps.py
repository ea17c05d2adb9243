"""The fifteen apps of docs/apps.md, as a user has them: from the wheel alone. Their types are read by `make types`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.apps.pages import apps, module_name, write_apps
from tests.wheel.environment import UNCHECKED, Environment

NAMES = sorted(map(module_name, apps()))
# All fifteen synths, one after the other in one process, on a machine that is busy.
PATIENCE_SECONDS = 600

RUN = """
import json, pathlib, runpy, sys, traceback
made = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.py")):
    app = runpy.run_path(str(path))["app"]
    templates = [json.loads(each.read_text()) for each in pathlib.Path(app.outdir).rglob("*.template.json")]
    made[path.stem] = sorted({r["Type"] for t in templates for r in t.get("Resources", {}).values()})
print(json.dumps(made))
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("apps")
    write_apps(folder)
    return folder


@pytest.fixture(scope="session")
def made(folder: Path, installed: Environment) -> Mapping[str, list[str]]:
    """The types of the resources of each app."""
    ran = subprocess.run(
        [str(installed.python), "-c", RUN, str(folder)],
        cwd=folder,
        env=installed.variables() | UNCHECKED,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def test_there_are_fifteen() -> None:
    assert len(NAMES) == 15


@pytest.mark.timeout(PATIENCE_SECONDS)
@pytest.mark.parametrize("name", NAMES)
def test_an_app_synthesises_from_the_wheel_alone(made: Mapping[str, list[str]], name: str) -> None:
    kinds = set(made[name])
    wanted = {
        "a_stage_of_cdk_pipelines": {"AWS::CodePipeline::Pipeline", "AWS::ECS::Service"},
        "isolated_subnets": {"AWS::EC2::VPCEndpoint"},
        "route_53": {"AWS::Route53::RecordSet"},
        "peering_and_privatelink": {"AWS::EC2::VPCEndpointService"},
        "a_whole_task_definition": {"AWS::EFS::FileSystem"},
        "alarms": {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"},
        "a_balancer_that_scales": {"AWS::ApplicationAutoScaling::ScalingPolicy"},
    }
    assert kinds >= {"AWS::ECS::Service", "AWS::ElasticLoadBalancingV2::LoadBalancer"} | wanted.get(name, set())
