"""What has to be there before tasks start."""

from __future__ import annotations

from aws_cdk import aws_ecs as ecs
from constructs import IDependable


def start_after(service: ecs.FargateService, *needed: IDependable) -> None:
    """Make the tasks of a service wait, but not the security groups and roles that others refer to.

    A task that cannot pull its image yet, because its subnet has no route yet, counts as a failed one: three of them
    and the circuit breaker takes back the first deployment of a whole stack.
    """
    service.node.find_child("Service").node.add_dependency(*needed)
