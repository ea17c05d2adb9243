"""Alarms of a balancer, each with what to do. docs/operate/alarms.md has a section for each, under its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from cdk_grpc_lb.argument_types import check_arguments
from cdk_grpc_lb.project import RUNBOOK
from cdk_grpc_lb.signatures import shown
from cdk_grpc_lb.validation import Props

if TYPE_CHECKING:
    from cdk_grpc_lb.balancer.balancer import GrpcBalancer
    from cdk_grpc_lb.balancer.target_sync import TargetSync

_MINUTE = cdk.Duration.minutes(1)
_FIVE_MINUTES = cdk.Duration.minutes(5)

_AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
_BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
# Nothing happens where nothing is told, as with a service that nobody calls; or nobody is left to tell.
_QUIET = cloudwatch.TreatMissingData.NOT_BREACHING
_SILENCE_IS_TROUBLE = cloudwatch.TreatMissingData.BREACHING


@dataclass(frozen=True, slots=True)
class _Wanted:
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


@shown
class GrpcAlarms(Construct):
    """Alarms of a balancer, of its services together, and of the Lambdas that keep its lists of targets.

    Each says in its description what it means; ``docs/operate/alarms.md`` has a section for each on what to do.
    CloudWatch bills an alarm by the metrics in it, 18 for a balancer of one cluster, and one metric more for log lines.
    Raises ValueError at synth for a threshold that makes no sense, and where the balancer publishes no metrics.

    :param balancer: The balancer, with all of its clusters: call ``add_cluster`` before.
    :param topic: Where alarms are sent that should wake someone, and that all is well again. By default nowhere: they
        show in CloudWatch alone.
    :param warning_topic: Where the others are sent, which can wait for the morning. By default to ``topic``.
    :param ok_actions: Whether the end of an alarm is sent too. By default it is.
    :param runbook_url: Where your people find the runbook, such as your copy of ``docs/operate/alarms.md``: each
        alarm's description links to ``URL#alarm-name``, and to the log group to look at. By default, this project's.
    :param leave_out: The names of alarms that are not wanted, such as ``NoTargets`` where a service has no task at
        times. By default, all are made.
    :param failures_percent: How many calls in a hundred of any service may fail in 3 of 5 minutes; fewer than 5 a
        minute never count. By default 5.
    :param imbalance: How many times its fair share the busiest target of a service may get for 10 minutes. By default
        1.5: with 50 calls or more, chance alone does not reach it.
    :param saturation_percent: How far limits may be used in 3 of 5 minutes. By default 80 percent.
    """

    alarms: dict[str, list[cloudwatch.Alarm]]
    """Every alarm by its name; the Lambda's have one for each cluster."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the name that every construct gives it
        *,
        balancer: GrpcBalancer,
        topic: sns.ITopic | sns.Topic | None = None,
        warning_topic: sns.ITopic | sns.Topic | None = None,
        ok_actions: bool = True,
        runbook_url: str | None = None,
        leave_out: Sequence[str] = (),
        failures_percent: float = 5,
        imbalance: float = 1.5,
        saturation_percent: float = 80,
    ) -> None:
        given = dict(locals())
        super().__init__(scope, id)
        self._props = props = Props(type(self).__name__, self.node.path)
        check_arguments(props, GrpcAlarms.__init__, given)
        if isinstance(leave_out, str) or not set(leave_out) <= set(NAMES):
            raise props.error("leave_out", f"a list of {', '.join(NAMES)}", repr(leave_out))
        _check_between(props, "failures_percent", failures_percent, 0, 100)
        _check_between(props, "imbalance", imbalance, 1, 1000)
        _check_between(props, "saturation_percent", saturation_percent, 0, 100)
        self.alarms = {}
        _check_url(props, runbook_url)
        self._topic = topic
        self._warning_topic = warning_topic if warning_topic is not None else topic
        self._ok_actions = ok_actions
        self._runbook_url = runbook_url
        self._log_group = balancer.log_group
        self._leave_out = frozenset(leave_out)
        for wanted in self._of_calls(balancer, failures_percent, imbalance, saturation_percent):
            self._make(wanted, wanted.name)
        for wanted in self._of_balancer(balancer):
            self._make(wanted, wanted.name)
        for number, sync in enumerate(balancer.target_syncs):
            for wanted in _of_sync(sync):
                self._make(wanted, wanted.name if number == 0 else f"{wanted.name}{sync.node.id}")
        # Before it serves there is nobody to tell anything, and silence would be trouble.
        self.node.add_dependency(balancer.service)

    def _make(self, wanted: _Wanted, id: str) -> None:  # noqa: A002 - as above
        if wanted.name in self._leave_out:
            return
        made = cloudwatch.Alarm(
            self,
            id,
            metric=wanted.metric,
            threshold=wanted.threshold,
            evaluation_periods=wanted.periods,
            datapoints_to_alarm=wanted.datapoints,
            comparison_operator=wanted.comparison,
            treat_missing_data=wanted.missing,
            alarm_description=f"{wanted.means} {self._where_to_look(wanted.name)}",
        )
        topic = self._topic if wanted.name in PAGING else self._warning_topic
        if topic is not None:
            made.add_alarm_action(actions.SnsAction(topic))
            if self._ok_actions:
                made.add_ok_action(actions.SnsAction(topic))
        self.alarms.setdefault(wanted.name, []).append(made)

    def _where_to_look(self, name: str) -> str:
        runbook = self._runbook_url if self._runbook_url is not None else RUNBOOK
        region, group = cdk.Stack.of(self).region, self._log_group.log_group_name
        logs_url = f"https://console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{group}"
        return f"Runbook: {runbook}#{name.lower()} Logs: {logs_url}"

    def _of_calls(
        self, balancer: GrpcBalancer, failures_percent: float, imbalance: float, saturation_percent: float
    ) -> Iterator[_Wanted]:
        means = f"{failures_percent:g} percent or more of a service's calls fail. The dashboard and the page say which."
        failed = balancer.metric_failure_percent()
        yield _Wanted("CallsFail", failed, failures_percent, 5, means, datapoints=3)
        yield _Wanted(
            "NoTargets",
            balancer.metric_serving_targets(),
            1,
            3,
            "A service has no target that takes calls: all calls to it fail. Look at its tasks in ECS.",
            comparison=_BELOW,
        )
        means = "Envoy leaves targets alone because they fail. Look at the log of the task, and its security group."
        yield _Wanted("TargetsEjected", balancer.metric_ejected_targets(), 1, 5, means)
        means = f"One target of a service gets {imbalance:g} times its fair share of the calls, for ten minutes."
        yield _Wanted("TrafficImbalance", balancer.metric_imbalance(), imbalance, 10, means)
        means = "Calls are near a limit, beyond which they fail at once. Scale the service out, or raise the limit."
        yield _Wanted("LimitNear", balancer.metric_saturation(), saturation_percent, 5, means, datapoints=3)

    def _of_balancer(self, balancer: GrpcBalancer) -> Iterator[_Wanted]:
        hosts = balancer.target_group.metrics
        yield _Wanted(
            "NoBalancerReady",
            hosts.healthy_host_count(period=_MINUTE, statistic="Maximum"),
            1,
            2,
            "No balancer is ready: all calls fail. Look at the balancers' log for why they have no targets.",
            comparison=_BELOW,
            missing=_SILENCE_IS_TROUBLE,
        )
        unhealthy = hosts.un_healthy_host_count(period=_MINUTE, statistic="Maximum")
        means = "A balancer takes no calls for 15 minutes; the others do. Look at the log of that task."
        yield _Wanted("BalancerNotReady", unhealthy, 1, 15, means)
        yield _Wanted(
            "TargetsStale",
            balancer.metric_seconds_since_confirmed(),
            120,
            5,
            "A balancer does not get news of targets, or none tells: calls go on with the last good ones.",
            missing=_SILENCE_IS_TROUBLE,
        )
        rejected = balancer.metric_rejected_resources(period=_FIVE_MINUTES)
        means = "A client refuses its configuration and keeps the last good one: changes of targets may not reach it."
        yield _Wanted("ResourceRejected", rejected, 1, 1, means)
        if "ProcessStopped" not in self._leave_out:
            means = "Envoy or a control plane died, and was started again. Look at the lines before in its log."
            yield _Wanted("ProcessStopped", self._processes_stopped(balancer), 1, 1, means)
        yield from self._of_documents(balancer)

    def _of_documents(self, balancer: GrpcBalancer) -> Iterator[_Wanted]:
        refused = cloudwatch.MathExpression(
            expression="labels + routes",
            using_metrics={
                "labels": balancer.metric_rejected_labels(period=_FIVE_MINUTES),
                "routes": balancer.metric_shadowed_routes(period=_FIVE_MINUTES),
            },
            label="refused labels and routes",
            period=_FIVE_MINUTES,
        )
        means = "A docker label cannot be applied, or two services ask for the same calls. Correct the task definition."
        yield _Wanted("LabelRejected", refused, 1, 1, means)
        means = "The document of targets is nearly full: beyond it, changes are refused. Split the services."
        yield _Wanted("DocumentNearlyFull", balancer.metric_document_used(period=_FIVE_MINUTES), 80, 3, means)

    def _processes_stopped(self, balancer: GrpcBalancer) -> cloudwatch.Metric:
        """From the supervisor's log lines: whoever died cannot tell."""
        events = ("envoy stopped", "control plane stopped")
        patterns = [logs.FilterPattern.string_value("$.event", "=", event) for event in events]
        return logs.MetricFilter(
            self,
            "ProcessStoppedLines",
            log_group=balancer.log_group,
            filter_pattern=logs.FilterPattern.any(*patterns),
            metric_namespace=balancer._published.namespace,
            # One name for each balancer, so that two of an account do not count for each other.
            metric_name=f"{cdk.Names.unique_id(balancer)}ProcessStopped",
        ).metric(period=_FIVE_MINUTES, statistic="Sum")


def _of_sync(sync: TargetSync) -> Iterator[_Wanted]:
    function = sync.function
    yield _Wanted(
        "SyncSilent",
        function.metric_invocations(period=_FIVE_MINUTES, statistic="Sum"),
        1,
        1,
        "The Lambda that keeps the list of targets was not invoked for five minutes. Look at its rules and its queue.",
        comparison=_BELOW,
        missing=_SILENCE_IS_TROUBLE,
    )
    failed = cloudwatch.MathExpression(
        expression="errors + throttles",
        using_metrics={
            "errors": function.metric_errors(period=_FIVE_MINUTES, statistic="Sum"),
            "throttles": function.metric_throttles(period=_FIVE_MINUTES, statistic="Sum"),
        },
        label="errors and throttles",
        period=_FIVE_MINUTES,
    )
    means = "The Lambda that keeps the list of targets fails or is throttled for 15 minutes. Look at its log."
    yield _Wanted("SyncFails", failed, 1, 3, means)
    age = sync.queue.metric_approximate_age_of_oldest_message(period=_MINUTE, statistic="Maximum")
    yield _Wanted("SyncLag", age, 300, 1, "Changes of tasks wait for five minutes. Look at the Lambda's log.")
    dead = sync.dead_letter_queue.metric_approximate_number_of_messages_visible(period=_MINUTE, statistic="Maximum")
    means = "Refreshes of the list of targets failed for more than ten minutes. Look at the Lambda's log."
    yield _Wanted("DeadLetters", dead, 1, 1, means)


def _check_url(props: Props, url: str | None) -> None:
    if url is None or cdk.Token.is_unresolved(url):
        return
    if not url.startswith(("https://", "http://")) or "#" in url or " " in url:
        raise props.error("runbook_url", "a URL without #, such as https://wiki.example.com/grpc", repr(url))


def _check_between(props: Props, prop: str, value: float, lowest: float, highest: float) -> None:
    if not cdk.Token.is_unresolved(value) and not lowest < value <= highest:
        raise props.error(prop, f"more than {lowest:g} and at most {highest:g}", repr(value))
