"""CloudWatch's metrics: the names that those who publish and those who read them agree on, and the line that publishes.

CloudWatch Logs makes metrics of JSON lines in the embedded metric format, whoever writes them, so that publishing takes
no agent, no permission and no call: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
The line is made here: the Lambda has no dependencies, and aws-embedded-metrics asks the machine where it runs and adds
dimensions of its own, each of which would be billed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

NAMESPACE = "GrpcLb"

EVENT = "metrics"
"""What a line of metrics says happened, as in every other line of a log (`grpc_lb_contract.log_lines`)."""

BALANCER = "Balancer"
SERVICE = "Service"

BALANCER_VARIABLE = "GRPC_LB_CLOUDWATCH_BALANCER"
"""The environment variable with the value of the dimension `Balancer`; without it nothing is published."""
NAMESPACE_VARIABLE = "GRPC_LB_CLOUDWATCH_NAMESPACE"

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html and API_Dimension.html; ":" at
# the beginning and "AWS/" are CloudWatch's own.
NAMESPACE_PATTERN = r"(?!AWS/|:)[A-Za-z0-9._/#: -]{1,255}"
NAMESPACE_RULE = "1 to 255 of A-Z, a-z, 0-9 and . _ / # : - without AWS/ or : at the beginning"
BALANCER_PATTERN = r"(?! |:)[A-Za-z0-9._/# :-]{1,255}"
BALANCER_RULE = "1 to 255 of A-Z, a-z, 0-9 and . _ / # : - without : at the beginning"


class Unit(StrEnum):
    COUNT = "Count"
    SECONDS = "Seconds"
    PERCENT = "Percent"
    NONE = "None"


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    unit: Unit


# Of each service, and of each balancer over all of its services.
CALLS = Metric("Calls", Unit.COUNT)
FAILURES = Metric("Failures", Unit.COUNT)
IMBALANCE = Metric("Imbalance", Unit.NONE)
SERVING_TARGETS = Metric("ServingTargets", Unit.COUNT)
EJECTED_TARGETS = Metric("EjectedTargets", Unit.COUNT)
SATURATION = Metric("Saturation", Unit.PERCENT)
PER_SERVICE = (CALLS, FAILURES, IMBALANCE, SERVING_TARGETS, EJECTED_TARGETS, SATURATION)

# Of each service alone: a sum over services means nothing.
CALLS_PER_TARGET = Metric("CallsPerTarget", Unit.COUNT)

# Of each balancer.
DRAINING_TARGETS = Metric("DrainingTargets", Unit.COUNT)
TARGET_LIST_AGE = Metric("TargetListAge", Unit.SECONDS)
EVENT_TO_ENVOY_SECONDS = Metric("EventToEnvoySeconds", Unit.SECONDS)
ENVOY_RESTARTS = Metric("EnvoyRestarts", Unit.COUNT)
REJECTED_RESOURCES = Metric("RejectedResources", Unit.COUNT)
CLIENT_CONNECTIONS = Metric("ClientConnections", Unit.COUNT)
FAILURE_PERCENT = Metric("FailurePercent", Unit.PERCENT)
PER_BALANCER = (
    FAILURE_PERCENT,
    DRAINING_TARGETS,
    TARGET_LIST_AGE,
    EVENT_TO_ENVOY_SECONDS,
    ENVOY_RESTARTS,
    REJECTED_RESOURCES,
    CLIENT_CONNECTIONS,
)

# Of each balancer, by the Lambda that keeps its target document.
REFRESH_FAILURES = Metric("RefreshFailures", Unit.COUNT)
REJECTED_LABELS = Metric("RejectedLabels", Unit.COUNT)
SHADOWED_ROUTES = Metric("ShadowedRoutes", Unit.COUNT)
DOCUMENT_TARGETS = Metric("DocumentTargets", Unit.COUNT)
DOCUMENT_USED = Metric("DocumentUsed", Unit.PERCENT)
PER_DOCUMENT = (REFRESH_FAILURES, REJECTED_LABELS, SHADOWED_ROUTES, DOCUMENT_TARGETS, DOCUMENT_USED)

Values = Mapping[Metric, float]


@dataclass(frozen=True, slots=True)
class Directive:
    """Values to publish, once for each set of dimensions."""

    dimensions: tuple[tuple[str, ...], ...]
    values: Values


def metrics_line(
    *directives: Directive, at: float, namespace: str, dimensions: Mapping[str, str], **properties: object
) -> str:
    """One line for CloudWatch Logs, without its line break.

    :param at: Seconds since 1970: the minute that the values count in.
    :param dimensions: The value of each dimension that a directive names.
    :param properties: What the line says besides, for whoever reads logs. None of it makes a metric.
    """
    values = {metric.name: _number(value) for each in directives for metric, value in each.values.items()}
    metadata = {
        "Timestamp": round(at * 1000),
        "CloudWatchMetrics": [
            {
                "Namespace": namespace,
                "Dimensions": each.dimensions,
                "Metrics": [{"Name": metric.name, "Unit": metric.unit} for metric in each.values],
            }
            for each in directives
            if each.values
        ],
    }
    fields = {"_aws": metadata, "event": EVENT, **properties, **dimensions, **values}
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


def _number(value: float) -> float:
    """Rounded, because 0.1 + 0.2 makes a line no better; whole where it is."""
    rounded = round(value, 3)
    return int(rounded) if math.isfinite(rounded) and rounded == int(rounded) else rounded
