"""What a balancer counts of the calls that ended."""

from __future__ import annotations

from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props

_KINDS = ("services", "methods", "off")


def check_call_statistics(props: Props, kind: str | None) -> None:
    """Raise ValueError for what no balancer could be told."""
    if kind is not None and not is_unresolved(kind) and kind not in _KINDS:
        raise props.error("call_statistics", f"one of {', '.join(_KINDS)}", repr(kind))


def call_statistics_environment(kind: str | None) -> dict[str, str]:
    """The image's own setting for it."""
    return {} if kind is None else {"GRPC_LB_CALL_STATISTICS": kind}
