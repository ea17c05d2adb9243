"""Where a balancer's target document is kept in SSM Parameter Store."""

from __future__ import annotations

import re

import aws_cdk as cdk
from constructs import Construct

from cdk_grpc_lb.paths import path_of, stack_path_of
from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props
from grpc_lb_contract.document.balancers import PREFIX_ROOT

_PREFIX = re.compile(r"(/[A-Za-z0-9_.-]+)+")
# SSM's own limits, less what a shard's name adds: two levels, and a hash.
_MAX_LEVELS, _MAX_LENGTH = 13, 900


def own_prefix(balancer: Construct, cluster: str = "") -> str:
    """A path that no other balancer has: the stack, the construct's path in it, and a hash to tell alike ones apart.

    :param cluster: Tells the clusters of one balancer apart. No prefix lies below another one.
    """
    suffix = f"-{_plain(cluster)}" if cluster else ""
    # The stack's name as a reference, and one that keeps its meaning in a template of another stack.
    return f"{PREFIX_ROOT}{cdk.ScopedAws(balancer).stack_name}/{_within_stack(balancer)}{suffix}"


def known_name(balancer: Construct, prefix: str) -> str | None:
    """Its name where labels of other stacks may have it: without a reference, which would tie the stacks together.

    :param prefix: Its `own_prefix`.
    """
    stack_name = cdk.Stack.of(balancer).stack_name
    return None if is_unresolved(stack_name) else f"{stack_name}/{prefix.rpartition('/')[2]}"


def _within_stack(balancer: Construct) -> str:
    path = path_of(balancer).removeprefix(f"{stack_path_of(balancer)}/").split("/")
    return f"{_plain('-'.join(path))[:64]}-{balancer.node.addr[-8:]}"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)


def check_prefix(props: Props, prefix: str) -> None:
    """Raise ValueError for a path below which SSM takes no parameters.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
    """
    if is_unresolved(prefix):
        return
    if not prefix.startswith("/") or prefix.endswith("/"):
        raise props.error("parameter_prefix", "a path that starts with / and does not end with one", repr(prefix))
    if _PREFIX.fullmatch(prefix) is None:
        raise props.error("parameter_prefix", "of A-Z, a-z, 0-9, ., - and _ between single slashes", repr(prefix))
    first = prefix.split("/")[1].lower()
    if first.startswith(("aws", "ssm")):
        raise props.error("parameter_prefix", "one that does not begin with aws or ssm, which are AWS's", repr(prefix))
    if prefix.count("/") > _MAX_LEVELS or len(prefix) > _MAX_LENGTH:
        allowed = f"of at most {_MAX_LEVELS} levels and {_MAX_LENGTH} characters"
        raise props.error("parameter_prefix", allowed, f"{prefix.count('/')} and {len(prefix)}")


def parameters_under(stack: cdk.Stack, prefix: str) -> str:
    """The ARN that stands for every parameter below a prefix."""
    return stack.format_arn(service="ssm", resource=f"parameter{prefix}/*", arn_format=cdk.ArnFormat.NO_RESOURCE_NAME)
