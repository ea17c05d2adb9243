"""`app.py`, as `cdk synth` has it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from app import ROOT, GrpcRandomNumbers
from tests.cdk_grpc_lb.apps import FLAGS
from tests.cdk_grpc_lb.conftest import MakeApp
from tests.cdk_grpc_lb.template import Synthesised, as_text, schema_findings, synthesise, walk

RECOMMENDED = ROOT / "build/node/node_modules/aws-cdk/lib/init-templates/.recommended-feature-flags.json"


def test_the_outputs_are_what_a_caller_and_an_operator_need(example: Synthesised, comparison: Synthesised) -> None:
    assert example.body["Outputs"].keys() == {
        "BalancerAddress",
        "ClusterName",
        "ServiceName",
        "BalancerServiceName",
        "ParameterPrefix",
    }
    assert comparison.body["Outputs"].keys() - example.body["Outputs"].keys() == {"ComparisonAddress"}
    for name in ("BalancerAddress", "ComparisonAddress"):
        assert re.fullmatch(r"\$\{\w+\.DNSName\}:50051", as_text(comparison.body["Outputs"][name]["Value"]))


def test_the_comparison_leaves_the_rest_of_the_stack_as_it_is(example: Synthesised, comparison: Synthesised) -> None:
    added = comparison.body["Resources"].keys() - example.body["Resources"].keys()
    assert all("Comparison" in name for name in added)
    assert {comparison.body["Resources"][name]["Type"] for name in added} == {
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "AWS::ElasticLoadBalancingV2::Listener",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::SecurityGroupEgress",
    }
    changed = [
        name for name, resource in example.body["Resources"].items() if resource != comparison.body["Resources"][name]
    ]
    assert [example.body["Resources"][name]["Type"] for name in changed] == ["AWS::ECS::Service"]
    service = comparison.the("AWS::ECS::Service", "RandomNumbersService")
    assert [(target["ContainerName"], target["ContainerPort"]) for target in service["LoadBalancers"]] == [
        ("App", 50051)
    ]


def test_an_unknown_comparison_is_refused() -> None:
    """WHEN `cdk synth --context compare=alb`, THEN one line says what is allowed, and nothing is synthesised."""
    ran = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=os.environ | {"CDK_CONTEXT_JSON": json.dumps({"compare": "alb"})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr == ("error: compare must be nlb, got 'alb' (context compare); leave it out for no comparison\n")
    assert ran.stdout == ""


def test_two_synths_make_the_same_template(example: Synthesised, checked_app: MakeApp) -> None:
    again = synthesise(GrpcRandomNumbers(checked_app("again"), "GrpcRandomNumbers"))
    assert again.body == example.body


def test_synth_needs_no_account_and_no_look_up(example: Synthesised) -> None:
    manifest = json.loads((example.directory / "manifest.json").read_text())
    assert "missing" not in manifest
    assert manifest["artifacts"]["GrpcRandomNumbers"]["environment"] == "aws://unknown-account/unknown-region"


def test_nothing_has_a_physical_name(comparison: Synthesised) -> None:
    """GIVEN a name of our own on a resource, THEN a second stack of the app could not be deployed beside the first."""
    named = {
        (resource["Type"], key)
        for resource in comparison.body["Resources"].values()
        for key in resource.get("Properties", {})
        if key == "Name" or key.endswith("Name")
    }
    # A policy's name is unique within its role only; the other is a reference.
    assert named == {("AWS::IAM::Policy", "PolicyName"), ("AWS::Lambda::EventSourceMapping", "FunctionName")}


def test_the_images_context_is_its_one_folder(example: Synthesised) -> None:
    """GIVEN the whole checkout beside it, THEN only rng_service gets into the image of the random-number service."""
    assets = json.loads((example.directory / "GrpcRandomNumbers.assets.json").read_text())
    contexts = {
        image["source"]["dockerFile"]: example.directory / image["source"]["directory"]
        for image in assets["dockerImages"].values()
    }
    assert {file: {entry.name for entry in folder.iterdir()} for file, folder in contexts.items()} == {
        "rng_service/Dockerfile": {"rng_service"},
        "proxy_image/Dockerfile": {"proxy_image", "grpc_lb_contract"},
    }
    for folder in contexts.values():
        assert not [path for path in folder.rglob("*") if path.name == "__pycache__" or path.suffix == ".pyc"]
    assert {image["source"]["platform"] for image in assets["dockerImages"].values()} == {"linux/amd64"}


def test_cloudformations_own_schema_finds_nothing(comparison: Synthesised) -> None:
    assert schema_findings(comparison.directory / "GrpcRandomNumbers.template.json") == []


@pytest.mark.skipif(not RECOMMENDED.exists(), reason="the CDK CLI is not installed: make setup")
def test_the_flags_are_those_of_a_new_app() -> None:
    """GIVEN an app that `cdk init` makes now, THEN the example behaves as it would there."""
    assert json.loads(RECOMMENDED.read_text()) == FLAGS


def test_no_secret_and_no_address_of_ours_is_in_the_template(comparison: Synthesised) -> None:
    for key, value in walk(comparison.body):
        assert not (isinstance(value, str) and str(ROOT) in value), key
