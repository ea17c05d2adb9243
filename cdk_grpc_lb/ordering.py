"""What has to be there before tasks start."""

from __future__ import annotations

from aws_cdk import aws_ecs as ecs
from constructs import IDependable

from cdk_grpc_lb.paths import in_one_stack, path_of


def start_after(service: ecs.FargateService, *needed: IDependable) -> None:
    """Make the tasks of a service wait, but not the security groups and roles that others refer to.

    A task that cannot pull its image yet, because its subnet has no route yet, counts as a failed one: three of them
    and the circuit breaker takes back the first deployment of a whole stack.
    """
    service.node.find_child("Service").node.add_dependency(*needed)


def start_when_allowed(
    service: ecs.FargateService, cluster: ecs.ICluster, *needed: IDependable, has_capacity_providers: bool
) -> None:
    """Make the tasks wait for `needed`, and for permissions and capacity that the CDK lets them run ahead of.

    The CDK waits for the policy of the task's role, but not for that of the execution role, with which ECS pulls the
    image and reads secrets: the first tasks with a new secret might not get it. Nor does it wait for the cluster's
    capacity providers, which the cluster adds at synth, and which cannot be removed while a service uses them:
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PutClusterCapacityProviders.html
    """
    role = service.task_definition.execution_role
    providers = [cluster] if has_capacity_providers and _is_beside(service, cluster) else []
    start_after(service, *needed, *([] if role is None else [role]), *providers)


def _is_beside(service: ecs.FargateService, cluster: ecs.ICluster) -> bool:
    """Whether both are in one stack, and the service is no part of the cluster: it would wait for what waits for it."""
    return (
        isinstance(cluster, ecs.Cluster)
        and in_one_stack(service, cluster)
        and not path_of(service).startswith(f"{path_of(cluster)}/")
    )
