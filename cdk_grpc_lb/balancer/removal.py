"""The target document's parameters go when their stack goes."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from constructs import Construct, IDependable

from cdk_grpc_lb.validation import Props

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIMEOUT = cdk.Duration.minutes(5)


def check_removal(props: Props, policy: cdk.RemovalPolicy) -> None:
    """Raise ValueError for what SSM's parameters cannot have."""
    if policy not in (cdk.RemovalPolicy.DESTROY, cdk.RemovalPolicy.RETAIN):
        raise props.error("removal_policy", "DESTROY or RETAIN", policy.name)


def remove_with_stack(
    sync: Construct,
    function: lambda_.IFunction,
    prefix: str,
    suffix: str,
    publishing: IDependable,
    *,
    policy: cdk.RemovalPolicy,
) -> None:
    """Have the function delete what it wrote, once nothing invokes it any more.

    CloudFormation deletes what depends on a resource before it: so do the sync's rules and its event source. It deletes
    the resource of a prefix that an update has left once all else is updated; what the function needs for that,
    `publishing`, goes after it, because the resource depends on it.

    There is a resource for parameters that stay too, or an update to RETAIN would delete them with their resource.

    :param suffix: The `suffix_of` the prefix.
    """
    resource = cdk.CustomResource(
        sync,
        f"Parameters{suffix}",
        resource_type="Custom::GrpcLbTargetDocument",
        service_token=function.function_arn,
        properties={"ParameterPrefix": prefix, "Retain": str(policy == cdk.RemovalPolicy.RETAIN).lower()},
        service_timeout=_TIMEOUT,
    )
    resource.node.add_dependency(publishing)
    for writer in _writers(sync):
        writer.node.add_dependency(resource)


def suffix_of(stack: cdk.Stack, prefix: str) -> str:
    """Tells prefixes apart in ids: what belongs to one prefix is another resource than what belongs to the next."""
    resolved = json.dumps(stack.resolve(prefix))
    return hashlib.sha256(resolved.encode()).hexdigest()[:8]


def _writers(sync: Construct) -> Iterator[Construct]:
    for construct in sync.node.find_all():
        if isinstance(construct, (lambda_.CfnEventSourceMapping, events.CfnRule)):
            yield construct
