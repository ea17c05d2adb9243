"""Templates as users get them, synthesised once a session: each costs seconds."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

# The environment's own Node, wherever PATH leads: an older one makes jsii print a warning.
_NODE = Path(sys.executable).parent / "node"
if _NODE.exists():
    os.environ.setdefault("JSII_NODE", str(_NODE))

import aws_cdk as cdk  # noqa: E402 - jsii starts Node when it is imported
from aws_cdk import aws_ec2 as ec2  # noqa: E402
from aws_cdk import aws_ecs as ecs  # noqa: E402

from app import ROOT, GrpcRandomNumbers  # noqa: E402
from cdk_grpc_lb import GrpcBalancedService, GrpcBalancer  # noqa: E402
from tests.cdk_grpc_lb.template import Synthesised, synthesise  # noqa: E402

FLAGS: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]


@pytest.fixture
def stack(tmp_path: Path) -> cdk.Stack:
    """An empty stack of an app like `cdk init` makes it."""
    return cdk.Stack(cdk.App(context=FLAGS, outdir=str(tmp_path / "cdk.out")), "Stack")


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    """`cdk synth`"""
    app = cdk.App(context=FLAGS, outdir=str(tmp_path_factory.mktemp("example")))
    return synthesise(GrpcRandomNumbers(app, "GrpcRandomNumbers"))


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    """`cdk synth --context compare=nlb`"""
    app = cdk.App(context=FLAGS, outdir=str(tmp_path_factory.mktemp("comparison")))
    return synthesise(GrpcRandomNumbers(app, "GrpcRandomNumbers", compare="nlb"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Synthesised]:
    """Two services of one stack that share the balancer of another stack, in a cluster that was there before."""
    app = cdk.App(context=FLAGS, outdir=str(tmp_path_factory.mktemp("shared")))
    platform = cdk.Stack(app, "Platform")
    vpc = ec2.Vpc.from_vpc_attributes(
        platform,
        "Vpc",
        vpc_id="vpc-0a1b2c3d4e5f60718",
        vpc_cidr_block="10.0.0.0/16",
        availability_zones=["us-east-1a", "us-east-1b"],
        private_subnet_ids=["subnet-0a1b2c3d4e5f60718", "subnet-0a1b2c3d4e5f60719"],
        private_subnet_route_table_ids=["rtb-0a1b2c3d4e5f60718", "rtb-0a1b2c3d4e5f60719"],
    )
    cluster = ecs.Cluster.from_cluster_attributes(platform, "Cluster", cluster_name="existing", vpc=vpc)
    balancer = GrpcBalancer(platform, "Balancer", cluster=cluster, open_listener=False, port=9000)
    balancer.connections.allow_default_port_from(ec2.Peer.ipv4("10.0.7.0/24"))
    team = cdk.Stack(app, "Team")
    image = ecs.ContainerImage.from_registry("example/rng")
    GrpcBalancedService(
        team, "Orders", image=image, port=8443, balancer=balancer, hosts=["orders.internal", "*.orders"]
    )
    GrpcBalancedService(
        team,
        "OrdersCanary",
        image=image,
        port=8443,
        balancer=balancer,
        cluster=cluster,
        service_name="orders",
        grpc_services=["orders.v1.Orders"],
        desired_count=0,
        drain_time=cdk.Duration.seconds(75),
        health_check=ecs.HealthCheck(command=["CMD", "probe"]),
    )
    cdk.CfnOutput(team, "Prefix", value=balancer.parameter_prefix)
    return {"platform": synthesise(platform), "team": synthesise(team)}
