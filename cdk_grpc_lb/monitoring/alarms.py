"""Alarms of a balancer, each with what to do. docs/operate/alarms.md has a section for each, under its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, cast

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from cdk_grpc_lb.argument_types import check_props
from cdk_grpc_lb.monitoring import alarm_conditions
from cdk_grpc_lb.monitoring.alarm_conditions import FIVE_MINUTES, NAMES, PAGING, AlarmCondition
from cdk_grpc_lb.paths import path_of
from cdk_grpc_lb.project import RUNBOOK
from cdk_grpc_lb.signatures import shown, takes
from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props, check_region
from grpc_lb_contract.document.balancers import name_of

if TYPE_CHECKING:
    from typing import Unpack

    from cdk_grpc_lb.balancer.balancer import GrpcBalancer

# A description has 1,024 characters, of which a tenth is this project's own, and half may be a log group's name:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
_MAX_URL = 255


class AlarmProps(TypedDict, total=False):
    """The props of :class:`GrpcAlarms` but ``balancer``: the one place that has their names and types."""

    topic: sns.ITopic | sns.Topic | None
    warning_topic: sns.ITopic | sns.Topic | None
    ok_actions: bool
    runbook_url: str | None
    leave_out: Sequence[str]
    failures_percent: float
    imbalance: float
    saturation_percent: float


DEFAULTS: Mapping[str, Any] = {
    "topic": None,
    "warning_topic": None,
    "ok_actions": True,
    "runbook_url": None,
    "leave_out": (),
    "failures_percent": 5,
    "imbalance": 1.5,
    "saturation_percent": 80,
}


@shown
class GrpcAlarms(Construct):
    """Alarms of a balancer, of its services together, and of the Lambdas that keep its target lists.

    Each alarm's description says what it means; ``docs/operate/alarms.md`` has a section on what to do for each.
    CloudWatch bills an alarm by the metrics in it, 18 for a balancer of one cluster, and one metric more for log lines.
    Raises ValueError at synth for a threshold that makes no sense, and where the balancer publishes no metrics.

    :param balancer: The balancer, with all of its clusters: call ``add_cluster`` before.
    :param topic: Where alarms are sent that should wake someone, and their ends. By default nowhere: only CloudWatch
        shows them.
    :param warning_topic: Where the others are sent, which can wait for the morning. By default to ``topic``.
    :param ok_actions: Whether the end of an alarm is sent too. By default it is.
    :param runbook_url: Where your people find the runbook, such as your copy of ``docs/operate/alarms.md``: each
        alarm's description links to ``URL#alarm-name``, and to the log group to look at. By default, this project's.
    :param leave_out: The names of alarms that are not wanted, such as ``NoTargets`` where a service has no task at
        times. By default, all are made.
    :param failures_percent: The percentage of failed calls of any service from which ``CallsFail`` fires, in 3 of 5
        minutes; fewer than 5 failures a minute never count. By default 5.
    :param imbalance: How many times its fair share the busiest target of a service must get, for 10 minutes, for
        ``TrafficImbalance`` to fire. By default 1.5: with 50 calls or more, chance alone does not reach it.
    :param saturation_percent: The percentage of a limit from which ``LimitNear`` fires, in 3 of 5 minutes. By default
        80.
    """

    alarms: dict[str, list[cloudwatch.Alarm]]
    """Every alarm by its name; the Lambda's have one for each cluster."""

    @takes(AlarmProps, DEFAULTS)
    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the name that every construct gives it
        *,
        balancer: GrpcBalancer,
        **given: Unpack[AlarmProps],
    ) -> None:
        super().__init__(scope, id)
        props = Props(type(self).__name__, self.node.path)
        check_balancer(props, balancer)
        check_props(props, AlarmProps, given)
        self._wanted = wanted = cast("AlarmProps", {**DEFAULTS, **given})
        _check(props, wanted)
        for prop in ("topic", "warning_topic"):
            topic = cast("sns.ITopic | None", wanted[prop])
            if topic is not None:
                check_region(props, prop, self, topic.topic_arn, why="alarms have no actions in another one")
                self._warn_of_fifo(prop, topic)
        self._log_group = balancer.log_group
        self.alarms = {}
        for condition in self._of_balancer(balancer):
            self._make(condition, condition.name)
        for number, sync in enumerate(balancer.target_syncs):
            for condition in alarm_conditions.of_sync(sync):
                self._make(condition, condition.name if number == 0 else f"{condition.name}{sync.node.id}")
        # Before it serves there is nobody to tell anything, and silence would be trouble.
        self.node.add_dependency(balancer.service)

    def _warn_of_fifo(self, prop: str, topic: sns.ITopic) -> None:
        """A FIFO topic takes no message without a group, and an alarm's action is the topic's ARN alone.

        https://docs.aws.amazon.com/sns/latest/api/API_Publish.html#API_Publish_RequestParameters
        """
        if topic.fifo:
            cdk.Annotations.of(self).add_warning_v2(
                f"cdk-grpc-lb:fifo:{prop}",
                f"{prop} {path_of(topic)} is a FIFO topic, which takes no message without a message group, and "
                "CloudWatch's alarms name none: nobody would hear of them; give a standard topic",
            )

    def _of_balancer(self, balancer: GrpcBalancer) -> Iterator[AlarmCondition]:
        wanted = self._wanted
        yield from alarm_conditions.of_calls(
            balancer, wanted["failures_percent"], wanted["imbalance"], wanted["saturation_percent"]
        )
        yield from alarm_conditions.of_balancer(balancer)
        if "ProcessStopped" not in wanted["leave_out"]:
            yield alarm_conditions.process_stopped(self._processes_stopped(balancer))
        yield from alarm_conditions.of_documents(balancer)

    def _make(self, condition: AlarmCondition, id: str) -> None:  # noqa: A002 - as above
        wanted = self._wanted
        if condition.name in wanted["leave_out"]:
            return
        made = cloudwatch.Alarm(
            self,
            id,
            metric=condition.metric,
            threshold=condition.threshold,
            evaluation_periods=condition.periods,
            datapoints_to_alarm=condition.datapoints,
            comparison_operator=condition.comparison,
            treat_missing_data=condition.missing,
            alarm_description=f"{condition.means} {self._where_to_look(condition.name)}",
        )
        pages, mails = wanted["topic"], wanted["warning_topic"]
        topic = pages if condition.name in PAGING or mails is None else mails
        if topic is not None:
            made.add_alarm_action(actions.SnsAction(topic))
            if wanted["ok_actions"]:
                made.add_ok_action(actions.SnsAction(topic))
        self.alarms.setdefault(condition.name, []).append(made)

    def _where_to_look(self, name: str) -> str:
        runbook_url = self._wanted["runbook_url"]
        runbook = runbook_url if runbook_url is not None else RUNBOOK
        region, group = cdk.Stack.of(self).region, self._log_group.log_group_name
        logs_url = f"https://console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{group}"
        return f"Runbook: {runbook}#{name.lower()} Logs: {logs_url}"

    def _processes_stopped(self, balancer: GrpcBalancer) -> cloudwatch.Metric:
        """From the supervisor's log lines: a dead process writes none."""
        events = ("envoy stopped", "control plane stopped")
        patterns = [logs.FilterPattern.string_value("$.event", "=", event) for event in events]
        return logs.MetricFilter(
            self,
            "ProcessStoppedLines",
            log_group=balancer.log_group,
            filter_pattern=logs.FilterPattern.any(*patterns),
            metric_namespace=balancer._published.namespace,
            # One name for each balancer, also of two stacks of one app, so that none counts for another.
            metric_name=f"{name_of(balancer.parameter_prefix)}/ProcessStopped",
        ).metric(period=FIVE_MINUTES, statistic="Sum")


def check_balancer(props: Props, balancer: object) -> None:
    """Raise ValueError for what is no balancer of this app."""
    if getattr(balancer, "is_imported", True):
        raise props.error("balancer", "a GrpcBalancer of this app (a service's is service.balancer)", repr(balancer))


def _check(props: Props, wanted: AlarmProps) -> None:
    leave_out = wanted["leave_out"]
    if isinstance(leave_out, str) or not set(leave_out) <= set(NAMES):
        raise props.error("leave_out", f"a list of {', '.join(NAMES)}", repr(leave_out))
    _check_between(props, "failures_percent", wanted["failures_percent"], 0, 100)
    _check_between(props, "imbalance", wanted["imbalance"], 1, 1000)
    _check_between(props, "saturation_percent", wanted["saturation_percent"], 0, 100)
    _check_url(props, wanted["runbook_url"])


def _check_url(props: Props, url: str | None) -> None:
    if url is None or is_unresolved(url):
        return
    if len(url) > _MAX_URL:
        raise props.error("runbook_url", f"of at most {_MAX_URL} characters", str(len(url)))
    if not url.startswith(("https://", "http://")) or "#" in url or " " in url:
        raise props.error("runbook_url", "a URL without #, such as https://wiki.example.com/grpc", repr(url))


def _check_between(props: Props, prop: str, value: float, lowest: float, highest: float) -> None:
    if not is_unresolved(value) and not lowest < value <= highest:
        raise props.error(prop, f"more than {lowest:g} and at most {highest:g}", repr(value))
