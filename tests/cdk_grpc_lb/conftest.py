"""Templates as users get them, synthesised once a session: each costs seconds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# The environment's own Node, wherever PATH leads: an older one makes jsii print a warning.
_NODE = Path(sys.executable).parent / "node"
if _NODE.exists():
    os.environ.setdefault("JSII_NODE", str(_NODE))
# What nobody reads of a construct that a test makes: where in the CDK it was made.
os.environ.setdefault("CDK_DISABLE_STACK_TRACE", "1")

import aws_cdk as cdk  # noqa: E402 - jsii starts Node when it is imported

from app import GrpcRandomNumbers  # noqa: E402
from tests.cdk_grpc_lb.apps import FLAGS, template_app  # noqa: E402
from tests.cdk_grpc_lb.network.stacks import ALL as EVERY_NETWORK  # noqa: E402
from tests.cdk_grpc_lb.template import Synthesised, synthesise  # noqa: E402
from tests.cdk_grpc_lb.ways import make_every_way  # noqa: E402


@pytest.fixture
def stack() -> cdk.Stack:
    """An empty stack of an app like `cdk init` makes it."""
    return cdk.Stack(template_app(), "Stack")


MakeApp = Callable[[str], cdk.App]


@pytest.fixture(scope="session")
def checked_app(tmp_path_factory: pytest.TempPathFactory) -> MakeApp:
    """Makes apps that the CDK checks against CloudFormation's schema. A process takes 3 s to load that, so that all
    who need it, or what is made with it, run in one.
    """
    return lambda name: cdk.App(context=FLAGS, outdir=str(tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="session")
def example(checked_app: MakeApp) -> Synthesised:
    """`cdk synth`"""
    return synthesise(GrpcRandomNumbers(checked_app("example"), "GrpcRandomNumbers"))


@pytest.fixture(scope="session")
def comparison(checked_app: MakeApp) -> Synthesised:
    """`cdk synth --context compare=nlb`"""
    return synthesise(GrpcRandomNumbers(checked_app("comparison"), "GrpcRandomNumbers", compare="nlb"))


@pytest.fixture(scope="session")
def ways(checked_app: MakeApp) -> dict[str, Synthesised]:
    """Every way to use the constructs, by the name of its stack."""
    return {name: synthesise(stack) for name, stack in make_every_way(checked_app("ways")).items()}


@pytest.fixture(scope="session")
def shared(ways: dict[str, Synthesised]) -> dict[str, Synthesised]:
    """Services of one stack that share the balancer of another stack, in a cluster that was there before."""
    return {"platform": ways["Platform"], "team": ways["Team"]}


@pytest.fixture(scope="session")
def networks(checked_app: MakeApp) -> dict[str, Synthesised]:
    """Networks of all kinds, by the name of its stack."""
    app = checked_app("networks")
    stacks = [make(app) for make in EVERY_NETWORK]
    return {stack.node.id: synthesise(stack) for stack in stacks}
