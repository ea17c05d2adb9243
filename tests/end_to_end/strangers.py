"""A task beside the example's own, with labels of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from local_aws.stack import LocalStack


@contextmanager
def stranger(stack: LocalStack, labels: Mapping[str, str], *, family: str = "stranger") -> Iterator[str]:
    """Run the example's container as a task of another family, with these labels; its id."""
    ecs, addresses = stack.client("ecs"), stack.addresses
    definition = ecs.describe_task_definition(taskDefinition=stack.serving(addresses.service)[0].task_definition)
    own = definition["taskDefinition"]["containerDefinitions"][0]
    # Nobody calls it, so it need not serve on once it is told to stop.
    environment = [{"name": "SHUTDOWN_GRACE_SECONDS", "value": "0"}]
    container = {**own, "dockerLabels": dict(labels), "environment": environment}
    ecs.register_task_definition(
        family=family, containerDefinitions=[container], networkMode="awsvpc", requiresCompatibilities=["FARGATE"]
    )
    service = ecs.describe_services(cluster=addresses.cluster, services=[addresses.service])["services"][0]
    task = ecs.run_task(
        cluster=addresses.cluster,
        taskDefinition=family,
        launchType="FARGATE",
        networkConfiguration=service["networkConfiguration"],
    )["tasks"][0]
    try:
        yield task["taskArn"].rpartition("/")[2]
    finally:
        ecs.stop_task(cluster=addresses.cluster, task=task["taskArn"])
