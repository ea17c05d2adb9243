"""The examples, synthesised by the CDK CLI where nothing but the wheel is installed."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc
import pytest

from tests.docs.pages import code, page, tables
from tests.wheel.synths import EXAMPLES, Synth

APPS = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


def test_every_example_is_tested(synths: Mapping[str, Synth]) -> None:
    assert set(APPS) <= synths.keys()


@pytest.mark.parametrize("app", APPS)
def test_an_example_synthesises_from_the_wheel_alone(synths: Mapping[str, Synth], app: str) -> None:
    """GIVEN no account and no checkout, WHEN `cdk synth` runs, THEN it asks AWS nothing and warns of nothing."""
    synth = synths[app]
    assert synth.of_type("AWS::ECS::Service")
    assert "missing" not in synth.manifest
    assert synth.annotations == []


def test_the_wheel_makes_the_template_and_the_assets_of_the_checkout(synths: Mapping[str, Synth]) -> None:
    """GIVEN the whole stack from the checkout and from the wheel (with the byte code that pip left in it), THEN the
    templates are the same, and with them the hash of each asset.
    """
    from_wheel, from_checkout = (synths[name].template for name in ("whole_stack", "checkout"))
    # The CLI asks for these: which constructs there are, for AWS's statistics, and the path of each.
    from_wheel["Resources"].pop("CDKMetadata")
    for resource in (*from_wheel["Resources"].values(), *from_checkout["Resources"].values()):
        resource.pop("Metadata", None)
    assert from_wheel["Resources"] == from_checkout["Resources"]
    assert assets(synths["whole_stack"]) == assets(synths["checkout"])
    assert len(assets(synths["whole_stack"])) == 3  # the Lambda, the balancer's image, the service's image


def assets(synth: Synth) -> set[str]:
    manifest = synth.read("*.assets.json")
    zipped = {key for key, asset in manifest["files"].items() if asset["source"]["packaging"] == "zip"}
    return zipped | set(manifest["dockerImages"])


def test_two_services_share_one_balancer(synths: Mapping[str, Synth]) -> None:
    synth = synths["shared_balancer"]
    assert len(synth.of_type("AWS::ECS::Service")) == 4  # the balancer, the prices, the orders and their canary
    assert len(synth.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer")) == 1
    assert not synth.of_type("AWS::EC2::VPC")
    assert not synth.of_type("AWS::ECS::Cluster")


def test_a_canary_takes_five_percent_under_the_policy_of_its_service(synths: Mapping[str, Synth]) -> None:
    labels = [
        container["DockerLabels"]
        for definition in synths["shared_balancer"].of_type("AWS::ECS::TaskDefinition").values()
        for container in definition["Properties"]["ContainerDefinitions"]
        if container.get("DockerLabels", {}).get("grpc-lb.service") == "orders"
    ]
    assert sorted(each.pop("grpc-lb.weight") for each in labels) == ["5", "95"]
    assert labels[0] == labels[1]
    assert {"grpc-lb.deadline.default", "grpc-lb.routes.reads.retry.on"} <= labels[0].keys()


def test_registering_a_service_replaces_nothing(synths: Mapping[str, Synth]) -> None:
    """GIVEN the team's stack before and after, THEN labels and a rule are new, and all else is as it was."""
    before, after = (synths[name].template["Resources"] for name in ("before", "registered_service"))
    assert {after[name]["Type"] for name in after.keys() - before.keys()} == {"AWS::EC2::SecurityGroupIngress"}
    assert not before.keys() - after.keys()
    changed = [name for name in before if before[name] != after[name]]
    assert [after[name]["Type"] for name in changed] == ["AWS::ECS::TaskDefinition"]
    (container,) = after[changed[0]]["Properties"]["ContainerDefinitions"]
    assert container.pop("DockerLabels") == {
        "grpc-lb.enable": "true",
        "grpc-lb.service": "stock",
        "grpc-lb.port": "50051",
        "grpc-lb.grpc-services": "stock.v1.Stock",
    }
    assert after[changed[0]] == before[changed[0]]


def test_the_alarms_are_those_that_the_operators_page_explains(synths: Mapping[str, Synth]) -> None:
    table, *_ = tables(page("operate/alarms"))
    explained = {code(name) for name, *_ in table}
    made = synths["whole_stack"].of_type("AWS::CloudWatch::Alarm")
    assert len(made) == len(explained)
    assert {name for name in explained if any(f"Alarms{name}" in logical_id for logical_id in made)} == explained


def test_the_alarms_look_for_log_lines_that_there_are(synths: Mapping[str, Synth]) -> None:
    """GIVEN the metric filters, THEN each text that they look for is a line of the operator's page, which is tested
    against the code.
    """
    lines = {code(row[0]) for table in tables(page("operate/logs")) for row in table}
    patterns = [
        each["Properties"]["FilterPattern"]
        for each in synths["whole_stack"].of_type("AWS::Logs::MetricFilter").values()
    ]
    wanted = {text for pattern in patterns for text in pattern.split('"')[1::2]}
    assert len(patterns) == 1
    assert wanted <= lines


def test_the_queues_times_are_those_of_the_operators_page(synths: Mapping[str, Synth]) -> None:
    (queue,) = (
        each["Properties"]
        for each in synths["whole_stack"].of_type("AWS::SQS::Queue").values()
        if "RedrivePolicy" in each["Properties"]
    )
    seconds, attempts = queue["VisibilityTimeout"], queue["RedrivePolicy"]["maxReceiveCount"]
    assert f"delivers the events again after {seconds} s" in page("operate/logs")
    assert f"after {attempts} attempts, {seconds} s apart" in page("operate/runbook")


def test_the_examples_need_what_their_requirements_say() -> None:
    """GIVEN the imports of each app, THEN they come from cdk-grpc-lb and what it asks for."""
    for app in APPS:
        files = list((EXAMPLES / app).glob("*.py"))
        own = {file.stem for file in files}
        names = {
            name.partition(".")[0]
            for file in files
            for node in ast.walk(ast.parse(file.read_text()))
            for name in imported(node)
        }
        assert names - own - sys.stdlib_module_names == {"aws_cdk", "cdk_grpc_lb", "constructs"}
        assert (EXAMPLES / app / "requirements.txt").read_text().startswith("cdk-grpc-lb")


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_the_service_of_the_whole_stack_serves_on_after_sigterm(tmp_path: Path, unused_tcp_port: int) -> None:
    """GIVEN the example's server, WHEN it is told to stop, THEN it answers a call that comes then, and ends well."""
    server = shutil.copy(EXAMPLES / "whole_stack/service/server.py", tmp_path)
    environment = {"BIND_ADDRESS": "127.0.0.1", "PORT": str(unused_tcp_port), "SHUTDOWN_GRACE_SECONDS": "1"}
    process = subprocess.Popen(
        [sys.executable, server], env=os.environ | environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        with grpc.insecure_channel(f"127.0.0.1:{unused_tcp_port}") as channel:
            hello: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/greetings.v1.Greeter/Hello")
            assert hello(b"you", timeout=60).startswith(b"hello, you, from ")
            process.send_signal(signal.SIGTERM)
            assert hello(b"you", timeout=60).startswith(b"hello, you, from ")
        printed, _ = process.communicate(timeout=60)
        assert (printed, process.returncode) == ("stopped\n", 0)
    finally:
        process.kill()
        process.communicate()
