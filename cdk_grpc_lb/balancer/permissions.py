"""What the Lambda and the balancer's tasks may do in AWS: their IAM policies."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from cdk_grpc_lb.balancer.parameters import parameters_under
from cdk_grpc_lb.nag import ANY_RESOURCE, acknowledge, wildcard_in

_DOCUMENT = "a document takes as many parameters as it needs"


def allow_listing(stack: cdk.Stack, role: iam.Role, *, cluster_arn: str, cluster_name: str) -> None:
    """Let the Lambda list one cluster."""
    in_this_cluster = {"ArnEquals": {"ecs:cluster": cluster_arn}}
    tasks = stack.format_arn(service="ecs", resource="task", resource_name=f"{cluster_name}/*")
    role.add_to_policy(
        iam.PolicyStatement(actions=["ecs:DescribeTasks"], resources=[tasks], conditions=in_this_cluster)
    )
    services = stack.format_arn(service="ecs", resource="service", resource_name=f"{cluster_name}/*")
    role.add_to_policy(
        iam.PolicyStatement(actions=["ecs:DescribeServices"], resources=[services], conditions=in_this_cluster)
    )
    # ListTasks of a whole cluster is authorised against `*`; the condition is what holds it to one cluster.
    # https://github.com/cdklabs/construct-hub/pull/1207
    role.add_to_policy(iam.PolicyStatement(actions=["ecs:ListTasks"], resources=["*"], conditions=in_this_cluster))
    # DescribeTaskDefinition knows neither resources nor the cluster:
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
    role.add_to_policy(iam.PolicyStatement(actions=["ecs:DescribeTaskDefinition"], resources=["*"]))
    acknowledge(
        role,
        {
            ANY_RESOURCE: "ListTasks and DescribeTaskDefinition are authorised for nothing narrower",
            wildcard_in(stack, tasks): "tasks are listed before they are described, of one cluster",
            wildcard_in(stack, services): "which services there are is known only when it runs",
        },
    )


def allow_publishing(
    sync: Construct, stack: cdk.Stack, role: iam.Role, parameter_prefix: str, suffix: str
) -> iam.Policy:
    """Let the Lambda write the document, by a policy of the prefix's own: it stays until what is below the prefix is
    removed.
    """
    parameters = parameters_under(stack, parameter_prefix)
    policy = iam.Policy(
        sync,
        f"Publishing{suffix}",
        roles=[role],
        statements=[
            iam.PolicyStatement(
                actions=[
                    "ssm:GetParameter",
                    "ssm:GetParameters",
                    "ssm:GetParametersByPath",
                    "ssm:PutParameter",
                    "ssm:DeleteParameters",
                ],
                resources=[parameters],
            )
        ],
    )
    acknowledge(policy, {wildcard_in(stack, parameters): _DOCUMENT})
    return policy


def allow_reading(task_definition: ecs.TaskDefinition, parameter_prefix: str) -> None:
    """Let the balancer's tasks read the document."""
    stack = cdk.Stack.of(task_definition)
    parameters = parameters_under(stack, parameter_prefix)
    task_definition.add_to_task_role_policy(
        iam.PolicyStatement(actions=["ssm:GetParameter", "ssm:GetParameters"], resources=[parameters])
    )
    acknowledge(task_definition, {wildcard_in(stack, parameters): _DOCUMENT})
