"""What to be told of. docs/operate.md says of each alarm what it means and what to do."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from cdk_grpc_lb import GrpcBalancer

MINUTE = cdk.Duration.minutes(1)
FIVE_MINUTES = cdk.Duration.minutes(5)

AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
QUIET = cloudwatch.TreatMissingData.NOT_BREACHING
SILENCE_IS_TROUBLE = cloudwatch.TreatMissingData.BREACHING


def add_alarms(balancer: GrpcBalancer, topic: sns.ITopic | None = None) -> Construct:
    """Make the alarms of one balancer, beside it, and send them to a topic where one is given."""
    alarms = Construct(balancer, "Alarms")
    ready = balancer.target_group.metrics
    sync = balancer.target_sync

    def alarm(
        id: str,  # noqa: A002 - the name that every construct gives it
        metric: cloudwatch.IMetric,
        threshold: float,
        periods: int,
        comparison: cloudwatch.ComparisonOperator = AT_LEAST,
        missing: cloudwatch.TreatMissingData = QUIET,
    ) -> None:
        made = cloudwatch.Alarm(
            alarms,
            id,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=comparison,
            treat_missing_data=missing,
        )
        if topic is not None:
            made.add_alarm_action(actions.SnsAction(topic))

    def lines(name: str, log_group: logs.ILogGroup, field: str, *values: str) -> cloudwatch.Metric:
        """How many log lines there were, in 5 minutes, of which the field has one of the values."""
        patterns = [logs.FilterPattern.string_value(f"$.{field}", "=", value) for value in values]
        return logs.MetricFilter(
            alarms,
            f"{name}Lines",
            log_group=log_group,
            filter_pattern=logs.FilterPattern.any(*patterns),
            metric_namespace="GrpcBalancer",
            # One name for each balancer, so that two of an account do not count for each other.
            metric_name=f"{cdk.Names.unique_id(balancer)}{name}",
        ).metric(period=FIVE_MINUTES, statistic="Sum")

    ready_now = ready.healthy_host_count(period=MINUTE, statistic="Maximum")
    alarm("NoBalancerReady", ready_now, 1, 2, BELOW, SILENCE_IS_TROUBLE)
    alarm("BalancerNotReady", ready.un_healthy_host_count(period=MINUTE, statistic="Maximum"), 1, 15)
    invocations = sync.function.metric_invocations(period=FIVE_MINUTES, statistic="Sum")
    alarm("SyncSilent", invocations, 1, 1, BELOW, SILENCE_IS_TROUBLE)
    age = sync.queue.metric_approximate_age_of_oldest_message(period=MINUTE, statistic="Maximum")
    alarm("SyncBehind", age, 300, 1)
    dead = sync.dead_letter_queue.metric_approximate_number_of_messages_visible(period=MINUTE, statistic="Maximum")
    alarm("DeadLetters", dead, 1, 1)
    alarm("LabelRefused", lines("LabelRefused", sync.log_group, "message", "label refused", "route refused"), 1, 1)
    alarm("DocumentNotTaken", lines("DocumentNotTaken", balancer.log_group, "event", "document not taken"), 1, 1)
    alarm("ResourceRejected", lines("ResourceRejected", balancer.log_group, "event", "xds resource rejected"), 1, 1)
    stopped = ("envoy stopped", "control plane stopped")
    alarm("ProcessStopped", lines("ProcessStopped", balancer.log_group, "event", *stopped), 1, 1)
    return alarms
