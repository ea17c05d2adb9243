"""The target document's parameters go when their stack goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk_grpc_lb.validation import Props

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIMEOUT = cdk.Duration.minutes(5)


def check_removal(props: Props, policy: cdk.RemovalPolicy) -> None:
    """Raise ValueError for what SSM's parameters cannot have."""
    if policy not in (cdk.RemovalPolicy.DESTROY, cdk.RemovalPolicy.RETAIN):
        raise props.error("removal_policy", "DESTROY or RETAIN", policy.name)


def remove_with_stack(sync: Construct, function: lambda_.IFunction, prefix: str) -> None:
    """Have the function delete what it wrote, once nothing invokes it any more.

    CloudFormation deletes what depends on a resource before it: so do the sync's rules and its event source.
    """
    resource = cdk.CustomResource(
        sync,
        "Parameters",
        resource_type="Custom::GrpcLbTargetDocument",
        service_token=function.function_arn,
        properties={"ParameterPrefix": prefix},
        service_timeout=_TIMEOUT,
    )
    for writer in _writers(sync):
        writer.node.add_dependency(resource)


def _writers(sync: Construct) -> Iterator[Construct]:
    for construct in sync.node.find_all():
        if isinstance(construct, (lambda_.CfnEventSourceMapping, events.CfnRule)):
            yield construct
