"""From the event to the Lambda, as the template wires it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from cdk_grpc_lb import TargetSync
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.template import Synthesised, synthesise
from tests.cdk_grpc_lb.validation.cases import existing_cluster

CLUSTER_ARN = {"Fn::GetAtt": ["RandomNumbersCluster37AD39C8", "Arn"]}


@pytest.fixture
def queue(example: Synthesised) -> dict[str, Any]:
    return example.the("AWS::SQS::Queue", "TargetSyncQueue")


def test_invariant_3_all_hints_of_a_cluster_queue_up_behind_each_other(
    example: Synthesised, queue: dict[str, Any]
) -> None:
    assert queue["FifoQueue"] is True
    groups = [
        target["SqsParameters"]["MessageGroupId"]
        for rule in example.of_type("AWS::Events::Rule").values()
        for target in rule["Targets"]
    ]
    assert len(groups) == 2
    assert len(set(groups)) == 1


def test_invariant_3_no_second_invocation_gets_a_batch_while_the_first_still_has_it(
    example: Synthesised, queue: dict[str, Any]
) -> None:
    function = example.the("AWS::Lambda::Function")
    assert function["Timeout"] == 60
    assert queue["VisibilityTimeout"] >= 3 * function["Timeout"]
    assert "ReservedConcurrentExecutions" not in function


def test_the_rules_hear_the_tasks_of_this_cluster_and_look_again_every_minute(example: Synthesised) -> None:
    rule = example.the("AWS::Events::Rule", "TaskStateChanges")
    assert rule["EventPattern"] == {
        "source": ["aws.ecs"],
        "detail-type": ["ECS Task State Change"],
        "detail": {"clusterArn": [CLUSTER_ARN]},
    }
    assert example.the("AWS::Events::Rule", "EveryMinute")["ScheduleExpression"] == "rate(1 minute)"


def test_each_event_reaches_the_queue_whole(example: Synthesised, queue: dict[str, Any]) -> None:
    """GIVEN deduplication by content, THEN an event's own id is in the content, or a second one would be swallowed."""
    assert queue["ContentBasedDeduplication"] is True
    for rule in example.of_type("AWS::Events::Rule").values():
        for target in rule["Targets"]:
            assert not {"Input", "InputPath", "InputTransformer"} & target.keys()


def test_the_document_is_deleted_with_the_stack_once_nothing_writes_any_more(example: Synthesised) -> None:
    """GIVEN CloudFormation deletes what depends on a resource first, THEN the rules and the event source of the
    function are gone when it is asked to delete the document.
    """
    ((name, asked),) = (
        (name, each) for name, each in example.body["Resources"].items() if each["Type"].startswith("Custom::GrpcLb")
    )
    assert asked["Properties"]["ServiceToken"]["Fn::GetAtt"][0] in example.of_type("AWS::Lambda::Function")
    writers = [
        each
        for each in example.body["Resources"].values()
        if each["Type"] in ("AWS::Events::Rule", "AWS::Lambda::EventSourceMapping")
    ]
    assert len(writers) == 3
    assert all(name in each["DependsOn"] for each in writers)


def test_a_document_may_outlive_its_stack(networks: dict[str, Synthesised]) -> None:
    """GIVEN RETAIN, THEN there is the resource all the same, told to delete nothing: an update from DESTROY to RETAIN
    would delete the parameters with it.
    """
    (kept,) = (each for each in networks["TwoRanges"].body["Resources"].values() if "GrpcLb" in each["Type"])
    assert kept["Properties"]["Retain"] == "true"


def ids_with_prefix(prefix: str) -> tuple[str, str]:
    """The logical ids of what deletes the parameters of a prefix, and of the policy that allows it."""
    stack = cdk.Stack(template_app(), "Stack")
    TargetSync(stack, "Sync", cluster=existing_cluster(stack), parameter_prefix=prefix)
    body = synthesise(stack).body["Resources"]
    ((policy, _),) = (
        (name, each)
        for name, each in body.items()
        if each["Type"] == "AWS::IAM::Policy" and f"{prefix}/*" in str(each["Properties"]["PolicyDocument"])
    )
    ((asked, resource),) = ((name, each) for name, each in body.items() if each["Type"].startswith("Custom::GrpcLb"))
    # THEN the policy outlives the deletion, for which it is needed
    assert policy in resource["DependsOn"]
    return asked, policy


def test_another_prefix_is_another_resource_with_another_policy() -> None:
    """GIVEN an update to another prefix, THEN CloudFormation deletes the old resource, which deletes the parameters,
    once all else is updated; the policy for the old prefix is deleted after it, not changed before.
    """
    before, after = ids_with_prefix("/shop/old"), ids_with_prefix("/shop/new")
    assert not set(before) & set(after)


def test_hints_that_fail_again_and_again_are_kept_apart(example: Synthesised, queue: dict[str, Any]) -> None:
    ((name, letters),) = (
        (name, letters) for name, letters in example.of_type("AWS::SQS::Queue").items() if "DeadLetters" in name
    )
    assert queue["RedrivePolicy"] == {"deadLetterTargetArn": {"Fn::GetAtt": [name, "Arn"]}, "maxReceiveCount": 5}
    assert letters["FifoQueue"] is True
    assert letters["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_the_queues_are_encrypted_and_refuse_plain_http(example: Synthesised) -> None:
    queues = example.of_type("AWS::SQS::Queue")
    assert all(queue["SqsManagedSseEnabled"] for queue in queues.values())
    guarded = {
        policy["Queues"][0]["Ref"]
        for policy in example.of_type("AWS::SQS::QueuePolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert guarded == queues.keys()


def test_the_function_runs_the_code_of_its_folder(example: Synthesised) -> None:
    function = example.the("AWS::Lambda::Function")
    assert (function["Runtime"], function["Architectures"], function["Handler"]) == (
        "python3.14",
        ["arm64"],
        "lambda_src.handler.handler",
    )
    assert function["Environment"]["Variables"].keys() == {
        "GRPC_LB_CLUSTER",
        "GRPC_LB_PARAMETER_PREFIX",
        "GRPC_LB_ONLY_SERVICES",
        "GRPC_LB_CLOUDWATCH_BALANCER",
    }
    assert function["Environment"]["Variables"]["GRPC_LB_CLUSTER"] == CLUSTER_ARN
    asset = example.directory / f"asset.{function['Code']['S3Key'].removesuffix('.zip')}"
    assert {folder.name for folder in asset.iterdir()} == {"lambda_src", "grpc_lb_contract", "traefik_labels"}
    assert (asset / Path(*function["Handler"].split(".")[:-1])).with_suffix(".py").is_file()


def test_the_function_gets_whole_batches_that_succeed_or_fail_as_one(example: Synthesised) -> None:
    mapping = example.the("AWS::Lambda::EventSourceMapping")
    assert mapping["BatchSize"] == 10
    assert "FunctionResponseTypes" not in mapping


def test_the_function_may_write_before_it_is_first_called(example: Synthesised) -> None:
    """GIVEN the event source, THEN it is made after the role's policy: the first refresh is not a denied one."""
    (function,) = (
        resource for resource in example.body["Resources"].values() if resource["Type"] == "AWS::Lambda::Function"
    )
    assert [needed for needed in function["DependsOn"] if "TargetSyncRoleDefaultPolicy" in needed]
