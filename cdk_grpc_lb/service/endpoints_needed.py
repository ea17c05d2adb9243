"""What a task needs of AWS before it can start."""

from __future__ import annotations

from collections.abc import Iterator

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb.network.endpoints import LOGS, PULLS


def endpoints_needed(definition: ecs.TaskDefinition, *, opens_shells: bool) -> list[str]:
    """The names of the VPC endpoints that its tasks need where they have no way to the internet.

    :param opens_shells: Whether ``aws ecs execute-command`` may.
    """
    return list(dict.fromkeys([*PULLS, *_of_containers(definition), *(["ssmmessages"] if opens_shells else [])]))


def images_of(definition: ecs.TaskDefinition) -> list[str]:
    """The names of its images; those that the CDK builds are references."""
    return [container.image_name for container in _containers(definition)]


def _of_containers(definition: ecs.TaskDefinition) -> Iterator[str]:
    stack = cdk.Stack.of(definition)
    for container in _containers(definition):
        rendered = container.render_container_definition()
        logs = stack.resolve(rendered.log_configuration) or {}
        if logs.get("logDriver") == "awslogs":
            yield LOGS
        for secret in stack.resolve(rendered.secrets) or ():
            # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar.html: an ARN of either, or the
            # name of a parameter; what the Secrets Manager's own resource is referred to as is its ARN.
            is_parameter = ":ssm:" in str(secret["valueFrom"]) or _is_name(secret["valueFrom"])
            yield "ssm" if is_parameter else "secretsmanager"


def _is_name(value: object) -> bool:
    return isinstance(value, str) and not value.startswith("arn:")


def _containers(definition: ecs.TaskDefinition) -> Iterator[ecs.ContainerDefinition]:
    return (child for child in definition.node.children if isinstance(child, ecs.ContainerDefinition))
