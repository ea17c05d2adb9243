"""Which alarms there are: what each looks at, from which threshold on, and what it means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

if TYPE_CHECKING:
    from cdk_grpc_lb.balancer.balancer import GrpcBalancer
    from cdk_grpc_lb.balancer.target_sync import TargetSync

MINUTE = cdk.Duration.minutes(1)
FIVE_MINUTES = cdk.Duration.minutes(5)

_AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
_BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
# No data means that nothing happens, as with a service that nobody calls; or that nobody is left to report.
_QUIET = cloudwatch.TreatMissingData.NOT_BREACHING
_SILENCE_IS_TROUBLE = cloudwatch.TreatMissingData.BREACHING


@dataclass(frozen=True, slots=True)
class AlarmCondition:
    """An alarm that goes off once `metric` is beyond `threshold` in `datapoints` of `periods`."""

    name: str
    metric: cloudwatch.IMetric
    threshold: float
    periods: int
    means: str
    datapoints: int | None = None
    comparison: cloudwatch.ComparisonOperator = _AT_LEAST
    missing: cloudwatch.TreatMissingData = _QUIET


NAMES = (
    "NoBalancerReady",
    "CallsFail",
    "NoTargets",
    "BalancerNotReady",
    "TargetsStale",
    "TargetsEjected",
    "TrafficImbalance",
    "LimitNear",
    "SyncSilent",
    "SyncFails",
    "SyncLag",
    "DeadLetters",
    "LabelRejected",
    "DocumentNearlyFull",
    "ResourceRejected",
    "ProcessStopped",
)

PAGING = frozenset({"NoBalancerReady", "CallsFail", "NoTargets"})
"""Those that should wake someone: calls fail now."""


def of_calls(
    balancer: GrpcBalancer, failures_percent: float, imbalance: float, saturation_percent: float
) -> Iterator[AlarmCondition]:
    """How the calls of all services fare."""
    means = f"{failures_percent:g} percent or more of a service's calls fail. The dashboard and the page say which."
    failed = balancer.metric_failure_percent()
    yield AlarmCondition("CallsFail", failed, failures_percent, 5, means, datapoints=3)
    yield AlarmCondition(
        "NoTargets",
        balancer.metric_serving_targets(),
        1,
        3,
        "A service has no target that takes calls: all calls to it fail. Look at its tasks in ECS.",
        comparison=_BELOW,
    )
    means = "Envoy ejects targets because they fail. Look at the log of the task, and its security group."
    yield AlarmCondition("TargetsEjected", balancer.metric_ejected_targets(), 1, 5, means)
    means = f"One target of a service gets {imbalance:g} times its fair share of the calls, for ten minutes."
    yield AlarmCondition("TrafficImbalance", balancer.metric_imbalance(), imbalance, 10, means)
    means = "Calls are near a limit, beyond which they fail at once. Scale the service out, or raise the limit."
    yield AlarmCondition("LimitNear", balancer.metric_saturation(), saturation_percent, 5, means, datapoints=3)


def _of_load_balancer(balancer: GrpcBalancer) -> Iterator[AlarmCondition]:
    hosts = balancer.target_group.metrics
    yield AlarmCondition(
        "NoBalancerReady",
        hosts.healthy_host_count(period=MINUTE, statistic="Maximum"),
        1,
        2,
        "No balancer is ready: all calls fail. Look at the balancers' log for why they have no targets.",
        comparison=_BELOW,
        missing=_SILENCE_IS_TROUBLE,
    )
    unhealthy = hosts.un_healthy_host_count(period=MINUTE, statistic="Maximum")
    means = "A balancer takes no calls for 15 minutes; the others do. Look at the log of that task."
    yield AlarmCondition("BalancerNotReady", unhealthy, 1, 15, means)


def of_balancer(balancer: GrpcBalancer) -> Iterator[AlarmCondition]:
    """How the balancer's tasks fare, and its configuration."""
    if balancer.has_load_balancer:
        yield from _of_load_balancer(balancer)
    else:
        # Each task reports this metric every minute, so its samples are the tasks.
        telling = balancer.metric_target_list_age(period=MINUTE, statistic="SampleCount")
        yield AlarmCondition(
            "NoBalancerReady",
            telling,
            1,
            2,
            "No balancer reports: all calls fail. Look at the balancers' log for why.",
            comparison=_BELOW,
            missing=_SILENCE_IS_TROUBLE,
        )
    yield AlarmCondition(
        "TargetsStale",
        balancer.metric_target_list_age(),
        120,
        5,
        "A target list is not confirmed, or no balancer reports: calls continue with the last known targets.",
        missing=_SILENCE_IS_TROUBLE,
    )
    rejected = balancer.metric_rejected_resources(period=FIVE_MINUTES)
    means = "A client rejects its configuration and keeps the last good one: changes of targets may not reach it."
    yield AlarmCondition("ResourceRejected", rejected, 1, 1, means)


def of_documents(balancer: GrpcBalancer) -> Iterator[AlarmCondition]:
    """What the Lambda found in labels, and how full the document is."""
    rejected = cloudwatch.MathExpression(
        expression="labels + routes",
        using_metrics={
            "labels": balancer.metric_rejected_labels(period=FIVE_MINUTES),
            "routes": balancer.metric_shadowed_routes(period=FIVE_MINUTES),
        },
        label="rejected labels and shadowed routes",
        period=FIVE_MINUTES,
    )
    means = "A docker label cannot be applied, or two services ask for the same calls. Correct the task definition."
    yield AlarmCondition("LabelRejected", rejected, 1, 1, means)
    means = "The target document is nearly full. When it is full, the target list goes stale. Split the services."
    yield AlarmCondition("DocumentNearlyFull", balancer.metric_document_used(period=FIVE_MINUTES), 80, 3, means)


def process_stopped(lines: cloudwatch.IMetric) -> AlarmCondition:
    """lines: how many log lines say that Envoy or a control plane stopped."""
    means = "Envoy or a control plane stopped and was restarted. Look at the log lines before that."
    return AlarmCondition("ProcessStopped", lines, 1, 1, means)


def of_sync(sync: TargetSync) -> Iterator[AlarmCondition]:
    """How one cluster's Lambda keeps the target list."""
    function = sync.function
    yield AlarmCondition(
        "SyncSilent",
        function.metric_invocations(period=FIVE_MINUTES, statistic="Sum"),
        1,
        1,
        "The Lambda that keeps the target list was not invoked for five minutes. Look at its rules and its queue.",
        comparison=_BELOW,
        missing=_SILENCE_IS_TROUBLE,
    )
    failed = cloudwatch.MathExpression(
        expression="errors + throttles",
        using_metrics={
            "errors": function.metric_errors(period=FIVE_MINUTES, statistic="Sum"),
            "throttles": function.metric_throttles(period=FIVE_MINUTES, statistic="Sum"),
        },
        label="errors and throttles",
        period=FIVE_MINUTES,
    )
    means = "The Lambda that keeps the target list fails or is throttled for 15 minutes. Look at its log."
    yield AlarmCondition("SyncFails", failed, 1, 3, means)
    age = sync.queue.metric_approximate_age_of_oldest_message(period=MINUTE, statistic="Maximum")
    yield AlarmCondition("SyncLag", age, 300, 1, "Task changes have waited for five minutes. Look at the Lambda's log.")
    dead = sync.dead_letter_queue.metric_approximate_number_of_messages_visible(period=MINUTE, statistic="Maximum")
    means = "Refreshes of the target list failed for more than ten minutes. Look at the Lambda's log."
    yield AlarmCondition("DeadLetters", dead, 1, 1, means)
