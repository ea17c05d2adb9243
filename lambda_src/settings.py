"""What the Lambda is told by its environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

CLUSTER = "GRPC_LB_CLUSTER"
PARAMETER_PREFIX = "GRPC_LB_PARAMETER_PREFIX"

_CLUSTER_ARN = re.compile(r"arn:[^:]+:ecs:[^:]+:[^:]+:cluster/[A-Za-z0-9_-]{1,255}")
# https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
_PARAMETER_PREFIX = re.compile(r"(/[A-Za-z0-9_.-]+)+")


@dataclass(frozen=True, slots=True)
class Settings:
    """`cluster` is the cluster's ARN; `prefix` the SSM path that the document lives under, without a trailing slash."""

    cluster: str
    prefix: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises `ValueError`, naming the variable, where one is missing or cannot be used."""
        return cls(
            cluster=_required(environment, CLUSTER, _CLUSTER_ARN, "the ARN of an ECS cluster"),
            prefix=_required(environment, PARAMETER_PREFIX, _PARAMETER_PREFIX, "an SSM path such as /grpc-lb/rng/main"),
        )


def _required(environment: Mapping[str, str], name: str, allowed: re.Pattern[str], rule: str) -> str:
    value = environment.get(name)
    if value is None:
        raise ValueError(f"environment variable {name} must be {rule}, and is not set")
    if allowed.fullmatch(value) is None:
        raise ValueError(f"environment variable {name} must be {rule}, got {value!r}")
    return value
