"""How containers log."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs

_MAX_BUFFER = cdk.Size.mebibytes(25)


def calm_log_driver(log_group: logs.ILogGroup, stream_prefix: str) -> ecs.LogDriver:
    """A driver that drops lines rather than hold up the process when CloudWatch Logs is slow or gone (invariant 6)."""
    return ecs.LogDrivers.aws_logs(
        log_group=log_group,
        stream_prefix=stream_prefix,
        mode=ecs.AwsLogDriverMode.NON_BLOCKING,
        max_buffer_size=_MAX_BUFFER,
    )
