"""Where a balancer's target document is kept in SSM Parameter Store."""

from __future__ import annotations

import re

import aws_cdk as cdk
from constructs import Construct

from grpc_lb_contract.document.balancers import PREFIX_ROOT


def own_prefix(balancer: Construct, cluster: str = "") -> str:
    """A path that no other balancer has: the stack, the construct's path in it, and a hash to tell alike ones apart.

    :param cluster: Tells the clusters of one balancer apart. No prefix lies below another one.
    """
    path = balancer.node.path.split("/")[len(cdk.Stack.of(balancer).node.path.split("/")) :]
    readable = _plain("-".join(path))[:64]
    suffix = f"-{_plain(cluster)}" if cluster else ""
    # The stack's name as a reference, and one that keeps its meaning in a template of another stack.
    return f"{PREFIX_ROOT}{cdk.ScopedAws(balancer).stack_name}/{readable}-{balancer.node.addr[-8:]}{suffix}"


def known_name(balancer: Construct) -> str | None:
    """Its name where labels of other stacks may have it: without a reference, which would tie the stacks together."""
    stack = cdk.Stack.of(balancer)
    if cdk.Token.is_unresolved(stack.stack_name):
        return None
    return f"{stack.stack_name}/{own_prefix(balancer).rpartition('/')[2]}"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)


def parameters_under(scope: Construct, prefix: str) -> str:
    """The ARN that stands for every parameter below a prefix."""
    return cdk.Stack.of(scope).format_arn(
        service="ssm", resource=f"parameter{prefix}/*", arn_format=cdk.ArnFormat.NO_RESOURCE_NAME
    )
