"""Templates as users get them, synthesised once a session: each costs seconds."""

from __future__ import annotations

from collections.abc import Callable

import aws_cdk as cdk
import pytest

from app import GrpcRandomNumbers
from tests.cdk_grpc_lb.apps import FLAGS, template_app
from tests.cdk_grpc_lb.network.stacks import ALL as EVERY_NETWORK
from tests.cdk_grpc_lb.template import Synthesised, synthesise
from tests.cdk_grpc_lb.ways import make_every_way


@pytest.fixture
def stack() -> cdk.Stack:
    """An empty stack of an app like `cdk init` makes it."""
    return cdk.Stack(template_app(), "Stack")


MakeApp = Callable[[str], cdk.App]


@pytest.fixture(scope="session")
def checked_app(tmp_path_factory: pytest.TempPathFactory) -> MakeApp:
    """Makes apps that the CDK checks against CloudFormation's schema. A process takes 3 s to load that, so that all
    who need it, or what is made with it, run in one: that of all constructs.
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
