"""Every AWS call of the Lambda and of the balancer against the policies that the example deploys, as IAM reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_aws.behaviour.permissions import Place
from proxy_image.control_plane.sources.last_good import LastGood
from proxy_image.control_plane.sources.parameters import SsmParameters
from proxy_image.control_plane.sources.poll_intervals import Intervals
from proxy_image.control_plane.sources.ssm import SsmSource
from tests.cdk_grpc_lb.template import Synthesised
from tests.iam import Evaluator, Role, evaluator, policies_of, pseudo_parameters, resolved, without
from tests.lambda_src.conftest import Sync, ask
from tests.lambda_src.fake_aws import ACCOUNT, CLUSTER, REGION, FakeAws, Time
from tests.proxy_image.control_plane.fakes import RememberingSink

PLACE = Place(REGION, ACCOUNT)
TASKS = 140  # too many for one parameter, and for one page of a listing
LAMBDA, BALANCER = "TargetSyncRole", "BalancerTaskDefinitionTaskRole"
LAMBDAS_ACTIONS = (
    "ecs:ListTasks",
    "ecs:DescribeTasks",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeServices",
    "ssm:GetParameter",
    "ssm:GetParameters",
    "ssm:PutParameter",
    "ssm:GetParametersByPath",
    "ssm:DeleteParameters",
)
BALANCERS_ACTIONS = ("ssm:GetParameter", "ssm:GetParameters")


@dataclass
class Deployed:
    """The example, its references resolved to the fake's cluster."""

    prefix: str
    policies: dict[str, tuple[str, ...]]
    judge: Evaluator

    def role(self, name: str, policies: tuple[str, ...] | None = None) -> Role:
        return Role(name, self.policies[name] if policies is None else policies, PLACE, self.judge)


@pytest.fixture(scope="module")
def deployed(example: Synthesised) -> Iterator[Deployed]:
    (cluster,) = example.of_type("AWS::ECS::Cluster")
    names = pseudo_parameters(PLACE) | {cluster: "main", f"{cluster}.Arn": CLUSTER}
    environment = resolved(example.the("AWS::Lambda::Function", "TargetSync")["Environment"]["Variables"], names)
    assert environment["GRPC_LB_CLUSTER"] == CLUSTER
    policies = {role: policies_of(example.body, role, names) for role in (LAMBDA, BALANCER)}
    with evaluator() as judge:
        yield Deployed(environment["GRPC_LB_PARAMETER_PREFIX"], policies, judge)


def use_all_of_it(deployed: Deployed, role: Role, monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    """The Lambda's life: publish shards, change them, delete the old ones, restart, miss a service."""
    aws, time = FakeAws(), Time()
    monkeypatch.setattr(FakeAws, "permit", staticmethod(lambda operation, parameters: ask(role, operation, parameters)))
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    ids = [aws.run(number, service="rng") for number in range(1, TASKS)]
    lonely = aws.run(TASKS, family="lonely", service="lonely")
    aws.services["lonely"] = "ACTIVE"
    # Time enough for all it does; of 60 s, a Lambda that is denied a call would spend most on trying again.
    sync = Sync(aws, time, prefix=deployed.prefix, timeout=12)
    for gone in ((), ids[:40], ids[40:80], [lonely]):
        for task in gone:
            del aws.tasks[task]
        time.now += 600
        sync.restart()
        try:
            sync.minute()
        except Exception:
            assert role.denials
    return aws


def test_every_call_of_the_lambda_is_allowed_and_every_permission_is_used(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = deployed.role(LAMBDA)
    use_all_of_it(deployed, role, monkeypatch)
    assert role.denials == []
    granted = {
        action
        for text in role.policies
        for statement in json.loads(text)["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert role.asked == set(LAMBDAS_ACTIONS)
    assert {action for action in granted if action.startswith(("ecs:", "ssm:"))} == set(LAMBDAS_ACTIONS)


@pytest.mark.parametrize("action", LAMBDAS_ACTIONS)
def test_a_policy_that_lacks_a_permission_is_noticed(
    deployed: Deployed, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = deployed.role(LAMBDA, without(deployed.policies[LAMBDA], action))
    use_all_of_it(deployed, role, monkeypatch)
    assert {denial.action for denial in role.denials} == {action}


@pytest.mark.parametrize(
    ("right", "wrong", "denied"),
    [
        (":cluster/main", ":cluster/other", {"ecs:ListTasks"}),
        (":task/main/", ":task/other/", {"ecs:DescribeTasks"}),
        (":service/main/", ":service/other/", {"ecs:DescribeServices"}),
        (":parameter/grpc-lb/", ":parameter/other/", {"ssm:GetParameter"}),
        ('"ArnEquals"', '"ArnNotEquals"', {"ecs:ListTasks"}),
    ],
)
def test_a_policy_for_another_resource_or_on_another_condition_is_noticed(
    deployed: Deployed, right: str, wrong: str, denied: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tuple(text.replace(right, wrong) for text in deployed.policies[LAMBDA])
    assert broken != deployed.policies[LAMBDA]
    role = deployed.role(LAMBDA, broken)
    use_all_of_it(deployed, role, monkeypatch)
    noticed = {denial.action for denial in role.denials}
    # Parameters are read side by side, so that a second call may be denied before the first one's denial ends it all.
    assert denied <= noticed
    assert {action.split(":")[0] for action in noticed} == {action.split(":")[0] for action in denied}


async def read_it(aws: FakeAws, deployed: Deployed, role: Role, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(FakeAws, "permit", staticmethod(lambda operation, parameters: ask(role, operation, parameters)))
    sink = RememberingSink()
    source = SsmSource(
        SsmParameters(aws.client("ssm")),
        prefix=deployed.prefix,
        intervals=Intervals(1, 1),
        last_good=LastGood(folder, deployed.prefix),
        sink=sink,
    )
    return await source.read() is None


async def test_every_call_of_the_balancer_is_allowed_and_one_that_is_not_is_noticed(
    deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = use_all_of_it(deployed, deployed.role(LAMBDA), monkeypatch)
    role = deployed.role(BALANCER)
    assert await read_it(aws, deployed, role, tmp_path, monkeypatch)
    assert role.denials == []
    assert role.asked == set(BALANCERS_ACTIONS)
    for action in BALANCERS_ACTIONS:
        broken = deployed.role(BALANCER, without(deployed.policies[BALANCER], action))
        assert not await read_it(aws, deployed, broken, tmp_path / action, monkeypatch)
        assert {denial.action for denial in broken.denials} == {action}


async def test_the_balancer_may_not_write_and_the_lambda_may_not_touch_another_balancers_parameters(
    deployed: Deployed,
) -> None:
    assert deployed.role(BALANCER).rejection("ssm", "PutParameter", {"Name": f"{deployed.prefix}/index"}) is not None
    for operation in ("PutParameter", "GetParameter"):
        others = {"Name": f"{deployed.prefix}-other/index"}
        rejection = deployed.role(LAMBDA).rejection("ssm", operation, others)
        assert rejection is not None
        assert rejection.code == "AccessDeniedException"
        assert f"ssm:{operation}" in rejection.message
