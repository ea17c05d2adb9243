"""What the Lambda is told by its environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from grpc_lb_contract import cloudwatch
from lambda_src.discovery.selection import Selection
from traefik_labels import TraefikLabels
from traefik_labels.settings import from_json

CLUSTER = "GRPC_LB_CLUSTER"
PARAMETER_PREFIX = "GRPC_LB_PARAMETER_PREFIX"
EXPOSED_BY_DEFAULT = "GRPC_LB_EXPOSED_BY_DEFAULT"
ONLY_SERVICES = "GRPC_LB_ONLY_SERVICES"
ONLY_LABEL = "GRPC_LB_ONLY_LABEL"
TRAEFIK_LABELS = "GRPC_LB_TRAEFIK_LABELS"

_CLUSTER_ARN = re.compile(r"arn:[^:]+:ecs:[^:]+:[^:]+:cluster/[A-Za-z0-9_-]{1,255}")
# https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
_PARAMETER_PREFIX = re.compile(r"(/[A-Za-z0-9_.-]+)+")
_TRUE_OR_FALSE = re.compile(r"true|false")
_PATTERNS = re.compile(r"[a-z0-9*?-]+(,[a-z0-9*?-]+)*")
_LABEL = re.compile(r"[^=]+(=.*)?", re.DOTALL)
_BALANCER = re.compile(cloudwatch.BALANCER_PATTERN)
_NAMESPACE = re.compile(cloudwatch.NAMESPACE_PATTERN)


@dataclass(frozen=True, slots=True)
class Settings:
    """`cluster` is the cluster's ARN; `prefix` the SSM path that the document lives under, without a trailing slash;
    `selection` says which of the cluster's containers are this balancer's; `cloudwatch_balancer` names it in
    CloudWatch's metrics, and without it there are none.
    """

    cluster: str
    prefix: str
    selection: Selection = field(default_factory=Selection)
    cloudwatch_balancer: str | None = None
    cloudwatch_namespace: str = cloudwatch.NAMESPACE

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises `ValueError`, naming the variable, where one is missing or cannot be used."""
        patterns = _optional(environment, ONLY_SERVICES, _PATTERNS, "names with * and ? as wildcards, with commas")
        exposed = _optional(environment, EXPOSED_BY_DEFAULT, _TRUE_OR_FALSE, "true or false")
        namespace = _optional(environment, cloudwatch.NAMESPACE_VARIABLE, _NAMESPACE, cloudwatch.NAMESPACE_RULE)
        return cls(
            cluster=_required(environment, CLUSTER, _CLUSTER_ARN, "the ARN of an ECS cluster"),
            prefix=_required(environment, PARAMETER_PREFIX, _PARAMETER_PREFIX, "an SSM path such as /grpc-lb/rng/main"),
            selection=Selection(
                exposed_by_default=exposed == "true",
                only_services=() if patterns is None else tuple(patterns.split(",")),
                only_label=_optional(environment, ONLY_LABEL, _LABEL, "a label such as team=orders, or its name"),
                traefik=_traefik_labels(environment),
            ),
            cloudwatch_balancer=_optional(
                environment, cloudwatch.BALANCER_VARIABLE, _BALANCER, cloudwatch.BALANCER_RULE
            ),
            cloudwatch_namespace=cloudwatch.NAMESPACE if namespace is None else namespace,
        )


def _traefik_labels(environment: Mapping[str, str]) -> TraefikLabels | None:
    text = environment.get(TRAEFIK_LABELS)
    try:
        return None if text is None else from_json(text)
    except ValueError as error:
        raise ValueError(
            f"environment variable {TRAEFIK_LABELS} must hold settings as JSON, {{}} for none: {error}"
        ) from None


def _required(environment: Mapping[str, str], name: str, allowed: re.Pattern[str], rule: str) -> str:
    value = _optional(environment, name, allowed, rule)
    if value is None:
        raise ValueError(f"environment variable {name} must be {rule}, and is not set")
    return value


def _optional(environment: Mapping[str, str], name: str, allowed: re.Pattern[str], rule: str) -> str | None:
    value = environment.get(name)
    if value is not None and allowed.fullmatch(value) is None:
        raise ValueError(f"environment variable {name} must be {rule}, got {value!r}")
    return value
