"""A dashboard of a balancer: the three questions of an incident, from top to bottom."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from cdk_grpc_lb.argument_types import check_arguments
from cdk_grpc_lb.monitoring.alarms import check_balancer
from cdk_grpc_lb.monitoring.call_metrics import MINUTE
from cdk_grpc_lb.signatures import shown
from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props
from grpc_lb_contract import cloudwatch as published

if TYPE_CHECKING:
    from cdk_grpc_lb.balancer.balancer import GrpcBalancer

_WIDTH = 24
_HEIGHT = 6
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


@shown
class GrpcDashboard(Construct):
    """A CloudWatch dashboard of a balancer, all of its services, and the Lambdas that keep their target lists.

    Services are found by their metrics, so those that only have docker labels are there too, and new ones appear
    automatically. CloudWatch bills each dashboard beyond the third of an account.

    :param balancer: The balancer.
    :param dashboard_name: The name of the dashboard. By default, CloudFormation makes one.
    """

    dashboard: cloudwatch.Dashboard
    """The dashboard, for widgets of your own."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the name that every construct gives it
        *,
        balancer: GrpcBalancer,
        dashboard_name: str | None = None,
    ) -> None:
        super().__init__(scope, id)
        props = Props(type(self).__name__, self.node.path)
        check_balancer(props, balancer)
        check_arguments(props, GrpcDashboard.__init__, {"dashboard_name": dashboard_name})
        if dashboard_name is not None and not is_unresolved(dashboard_name):
            _check_name(props, dashboard_name)
        self._balancer = balancer
        self._dimensions = balancer._published.dimensions()
        self.dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=dashboard_name)
        self._calls()
        self._targets()
        self._balancers()

    def _calls(self) -> None:
        self._heading("Calls", "Which service fails, and does one target get more than its share?")
        self._row(
            self._of_services("Calls a minute", published.CALLS, "Sum"),
            self._of_services("Failed calls a minute", published.FAILURES, "Sum"),
            self._of_services("Calls a minute and target", published.CALLS_PER_TARGET, "Sum"),
        )
        self._row(
            self._of_services("Imbalance (1 is even)", published.IMBALANCE, "Maximum"),
            self._of_services("Use of limits in percent", published.SATURATION, "Maximum"),
            _graph("Callers' connections", self._balancer.metric_client_connections()),
        )

    def _targets(self) -> None:
        balancer = self._balancer
        self._heading("Targets", "Which service lacks targets, and does the list follow the tasks?")
        self._row(
            self._of_services("Targets that take calls", published.SERVING_TARGETS, "Minimum"),
            self._of_services("Ejected targets", published.EJECTED_TARGETS, "Maximum"),
            _graph("Draining targets", balancer.metric_draining_targets()),
        )
        self._row(
            _graph(
                "Freshness in seconds",
                balancer.metric_target_list_age(label="since the list was confirmed"),
                balancer.metric_event_to_envoy(label="from a task's event to Envoy"),
            ),
            _graph(
                "What cannot be applied",
                balancer.metric_rejected_labels(label="labels"),
                balancer.metric_shadowed_routes(label="routes"),
                balancer.metric_rejected_resources(label="rejected resources"),
            ),
            _graph(
                "The document",
                balancer.metric_document_targets(label="targets"),
                right=[balancer.metric_document_used(label="used, in percent")],
            ),
        )

    def _counts(self) -> list[cloudwatch.IMetric]:
        balancer = self._balancer
        if not balancer.has_load_balancer:
            count = balancer.metric_target_list_age(period=MINUTE, statistic="SampleCount", label="that report")
            return [count]
        hosts = balancer.target_group.metrics
        return [
            hosts.healthy_host_count(period=MINUTE, statistic="Minimum", label="ready"),
            hosts.un_healthy_host_count(period=MINUTE, statistic="Maximum", label="not ready"),
        ]

    def _balancers(self) -> None:
        balancer = self._balancer
        self._heading("Balancers and their Lambda", "Are balancers ready, and is the Lambda well?")
        self._row(
            _graph(
                "Balancers",
                *self._counts(),
                balancer.metric_envoy_restarts(label="restarts of Envoy"),
            ),
            _graph(
                "Use of a balancer's task in percent",
                balancer.metric_cpu_utilization(period=MINUTE),
                balancer.metric_memory_utilization(period=MINUTE),
            ),
            _graph(
                "Lambda",
                *(sync.function.metric_invocations(period=MINUTE) for sync in balancer.target_syncs),
                *(sync.function.metric_errors(period=MINUTE) for sync in balancer.target_syncs),
                balancer.metric_refresh_failures(label="failed attempts"),
            ),
        )

    def _of_services(self, title: str, metric: published.Metric, statistic: str) -> cloudwatch.IWidget:
        """One line for each service that has the metric."""
        schema = ",".join((_quoted(self._balancer._published.namespace), published.BALANCER, published.SERVICE))
        name = self._dimensions[published.BALANCER]
        search = f'{{{schema}}} {published.BALANCER}="{name}" MetricName="{metric.name}"'
        every = cloudwatch.MathExpression(
            expression=f"SEARCH('{search}', '{statistic}', {MINUTE.to_seconds():g})",
            using_metrics={},
            label="${PROP('Dim." + published.SERVICE + "')}",
            period=MINUTE,
        )
        return _graph(title, every)

    def _heading(self, title: str, question: str) -> None:
        self.dashboard.add_widgets(cloudwatch.TextWidget(markdown=f"## {title}\n{question}", width=_WIDTH, height=2))

    def _row(self, *widgets: cloudwatch.IWidget) -> None:
        self.dashboard.add_widgets(*widgets)


def _quoted(namespace: str) -> str:
    """As a search takes it: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html"""
    return namespace if namespace.isalnum() else f'"{namespace}"'


def _graph(
    title: str, *metrics: cloudwatch.IMetric, right: Sequence[cloudwatch.IMetric] = ()
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(
        title=title,
        left=list(metrics),
        right=list(right),
        left_y_axis=cloudwatch.YAxisProps(min=0),
        period=MINUTE,
        width=_WIDTH // 3,
        height=_HEIGHT,
    )


def _check_name(props: Props, name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise props.error("dashboard_name", "1 to 255 of A-Z, a-z, 0-9, - and _", repr(name))
