"""What a cold start costs: the clients are made while Lambda initialises the function, not while an event waits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from local_aws.behaviour.edge import Edge
from local_aws.behaviour.http_server import serving
from local_aws.behaviour.timings import INSTANT
from tests.lambda_src.fake_aws import CLUSTER, PREFIX, REGION, FakeAws

ROOT = Path(__file__).resolve().parent.parent.parent

RUNTIME = """
import json, boto3

made, make = [], boto3.client
boto3.client = lambda name, **settings: made.append(name) or make(name, **settings)

class Context:
    get_remaining_time_in_millis = staticmethod(lambda: 60_000)

from lambda_src.handler import handler
in_init = list(made)
for _ in range(2):
    handler({"detail-type": "Scheduled Event"}, Context)
print(json.dumps({"init": in_init, "invocations": made[len(in_init):]}))
"""


def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUNTIME],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "AWS_REGION": REGION, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_client_is_made_in_the_init_phase_and_none_in_an_invocation() -> None:
    # GIVEN a cluster, WHEN a new environment of the function is made and handles two events
    aws = FakeAws()
    aws.run(1)
    with serving(aws.answer, Edge(INSTANT, seed=1)) as endpoint:
        ended = run(
            {
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "none",
                "AWS_SECRET_ACCESS_KEY": "none",
                "GRPC_LB_CLUSTER": CLUSTER,
                "GRPC_LB_PARAMETER_PREFIX": PREFIX,
            }
        )
    # THEN both clients were there before the first event, and it published
    assert ended.returncode == 0, ended.stderr
    made = json.loads(ended.stdout.splitlines()[-1])
    assert made == {"init": ["ecs", "ssm"], "invocations": []}
    assert f"{PREFIX}/index" in aws.parameters


def test_what_is_wrong_with_the_environment_is_said_by_the_first_invocation() -> None:
    ended = run({"GRPC_LB_CLUSTER": "main", "GRPC_LB_PARAMETER_PREFIX": PREFIX})
    assert ended.returncode == 1
    assert "environment variable GRPC_LB_CLUSTER must be the ARN of an ECS cluster, got 'main'" in ended.stderr
    assert "in handler" in ended.stderr
