"""The Lambda's own entry, as AWS calls it, at moto's ECS, SSM and SQS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.moto_api import state_manager

from grpc_lb_contract import Registration, TargetState, assemble, index_parameter, read_index
from lambda_src.handler import handler, warm
from tests.lambda_src.fake_aws import PREFIX


@dataclass
class Context:
    milliseconds: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@dataclass
class Cluster:
    """An ECS cluster at moto, with one family that registers as the service rng on port 50051."""

    ecs: Any
    ssm: Any
    arn: str
    subnet: str

    def run_task(self, group: str = "family:rng") -> str:
        network = {"awsvpcConfiguration": {"subnets": [self.subnet], "securityGroups": []}}
        answer = self.ecs.run_task(
            cluster=self.arn,
            taskDefinition="rng",
            launchType="FARGATE",
            networkConfiguration=network,
            group=group,
        )
        return str(answer["tasks"][0]["taskArn"])

    def names(self) -> list[str]:
        text = self.ssm.get_parameter(Name=index_parameter(PREFIX))["Parameter"]["Value"]
        return [service.name for service in assemble(read_index(text), {}).services]

    def states(self) -> dict[str, TargetState]:
        """Of each target, by its task's ARN's last part."""
        text = self.ssm.get_parameter(Name=index_parameter(PREFIX))["Parameter"]["Value"]
        service = assemble(read_index(text), {}).service("rng")
        return {} if service is None else {target.task: target.state for target in service.targets}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # hundreds of machine images, which nobody asks for
    warm.cache_clear()
    with mock_aws():
        # moto would move a task on towards STOPPED whenever it is described
        state_manager.set_transition("ecs::task", {"progression": "time", "seconds": 10**9})
        ecs, ec2 = boto3.client("ecs"), boto3.client("ec2")
        arn = ecs.create_cluster(clusterName="main")["cluster"]["clusterArn"]
        monkeypatch.setenv("GRPC_LB_CLUSTER", arn)
        monkeypatch.setenv("GRPC_LB_PARAMETER_PREFIX", PREFIX)
        ecs.register_task_definition(
            family="rng",
            networkMode="awsvpc",
            containerDefinitions=[
                {
                    "name": "app",
                    "image": "rng",
                    "memory": 128,
                    "dockerLabels": Registration("rng", 50051).to_labels(),
                    "portMappings": [{"containerPort": 50051}],
                }
            ],
        )
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})  # moto's interfaces want it
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        yield Cluster(ecs, boto3.client("ssm"), arn, subnet)
        state_manager.unset_transition("ecs::task")
    warm.cache_clear()


def minute() -> dict[str, object]:
    body = json.dumps({"detail-type": "Scheduled Event", "source": "aws.events", "time": "2026-09-21T14:13:20Z"})
    return {"Records": [{"messageId": "1", "receiptHandle": "receipt", "body": body, "attributes": {}}]}


def test_tasks_come_and_go(cluster: Cluster) -> None:
    # GIVEN two tasks, WHEN the Lambda is called, THEN both serve
    tasks = [cluster.run_task(), cluster.run_task()]
    names = [task.rpartition("/")[2] for task in tasks]
    handler(minute(), Context())
    assert cluster.states() == dict.fromkeys(names, TargetState.SERVING)
    # AND when one is stopped, only the other does
    cluster.ecs.stop_task(cluster=cluster.arn, task=tasks[0])
    handler(minute(), Context())
    assert cluster.states()[names[1]] is TargetState.SERVING
    assert cluster.states().get(names[0]) is not TargetState.SERVING


def test_a_service_without_tasks_stays_as_long_as_its_ecs_service(cluster: Cluster) -> None:
    # GIVEN an ECS service, and one task that is taken for its own
    cluster.ecs.create_service(cluster=cluster.arn, serviceName="blue", taskDefinition="rng", desiredCount=0)
    task = cluster.run_task(group="service:blue")
    handler(minute(), Context())
    # WHEN the task is gone, THEN the logical service is there until the ECS service is deleted
    state_manager.set_transition("ecs::task", {"progression": "immediate"})
    cluster.ecs.stop_task(cluster=cluster.arn, task=task)
    for _ in range(2):
        handler(minute(), Context())
    assert (cluster.names(), cluster.states()) == (["rng"], {})
    cluster.ecs.delete_service(cluster=cluster.arn, service="blue", force=True)
    handler(minute(), Context())
    assert cluster.names() == []


def test_the_environment_says_which_services_are_taken(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.run_task()
    monkeypatch.setenv("GRPC_LB_ONLY_SERVICES", "orders-*")
    handler(minute(), Context())
    assert cluster.states() == {}


def test_a_cluster_that_is_not_there_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPC_LB_CLUSTER", cluster.arn.replace("/main", "/another"))
    with pytest.raises(boto3.client("ecs").exceptions.ClusterNotFoundException):
        handler(minute(), Context(milliseconds=3000))


@pytest.mark.parametrize("name", ["GRPC_LB_CLUSTER", "GRPC_LB_PARAMETER_PREFIX"])
def test_a_missing_variable_is_named(name: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ValueError, match=f"environment variable {name} must be .*, and is not set"):
        handler(minute(), Context())
