"""CloudWatch's metrics of calls: those that each balancer publishes of its services, and of itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props
from grpc_lb_contract import cloudwatch as published

MINUTE = cdk.Duration.minutes(1)


@dataclass(frozen=True, slots=True)
class MetricsSource:
    """Where a balancer publishes; None as `balancer` where it does not."""

    props: Props
    balancer: str | None
    namespace: str = published.NAMESPACE
    imported: bool = False

    def check(self) -> None:
        """Raise ValueError for a namespace or a name that CloudWatch does not take."""
        for prop, value, pattern, rule in (
            ("cloudwatch_namespace", self.namespace, published.NAMESPACE_PATTERN, published.NAMESPACE_RULE),
            ("cloudwatch_name", self.balancer, published.BALANCER_PATTERN, published.BALANCER_RULE),
        ):
            known = value is not None and not is_unresolved(value)
            if known and re.fullmatch(pattern, str(value)) is None:
                raise self.props.error(prop, rule, repr(value))

    def dimensions(self, service: str | None = None) -> dict[str, str]:
        """Raise ValueError where nothing is published."""
        if self.balancer is None:
            if self.imported:
                raise self.props.error("cloudwatch_name", "given where metrics of its calls are used", None)
            raise self.props.error("cloudwatch_metrics", "True where metrics of its calls are used", False)
        own = {published.BALANCER: self.balancer}
        return own if service is None else {**own, published.SERVICE: service}

    def metric(
        self,
        metric: published.Metric,
        statistic: str,
        *,
        service: str | None = None,
        period: cdk.Duration | None = None,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=self.namespace,
            metric_name=metric.name,
            dimensions_map=self.dimensions(service),
            statistic=statistic,
            period=period if period is not None else MINUTE,
            label=label,
        )

    @property
    def environment(self) -> dict[str, str]:
        """What tells the image and the function to publish."""
        if self.balancer is None:
            return {}
        default = self.namespace == published.NAMESPACE
        namespace = {} if default else {published.NAMESPACE_VARIABLE: self.namespace}
        return {published.BALANCER_VARIABLE: self.balancer, **namespace}


class CallMetrics:
    """CloudWatch's metrics of calls, which the balancer that carries them publishes. Each method raises ValueError if
    it publishes none (``cloudwatch_metrics=False``, or imported without ``cloudwatch_name``).
    """

    _published: MetricsSource
    _published_service: str | None = None
    """The logical name; None for all services of the balancer."""

    def metric_calls(
        self, *, period: cdk.Duration | None = None, statistic: str = "Sum", label: str | None = None
    ) -> cloudwatch.Metric:
        """Calls received. By default their sum in each minute."""
        return self._metric(published.CALLS, statistic, period, label)

    def metric_failures(
        self, *, period: cdk.Duration | None = None, statistic: str = "Sum", label: str | None = None
    ) -> cloudwatch.Metric:
        """Calls that failed at their target, found no target or exceeded a limit. By default their sum in a minute."""
        return self._metric(published.FAILURES, statistic, period, label)

    def metric_imbalance(
        self, *, period: cdk.Duration | None = None, statistic: str = "Maximum", label: str | None = None
    ) -> cloudwatch.Metric:
        """How many times its fair share the busiest target got: 1 is even. Only in minutes with enough calls. By
        default the highest that any balancer task saw in each minute.
        """
        return self._metric(published.IMBALANCE, statistic, period, label)

    def metric_serving_targets(
        self, *, period: cdk.Duration | None = None, statistic: str = "Minimum", label: str | None = None
    ) -> cloudwatch.Metric:
        """Targets that take calls; for several services, those of the service that has the fewest. By default the
        fewest that any balancer task saw in each minute.
        """
        return self._metric(published.SERVING_TARGETS, statistic, period, label)

    def metric_ejected_targets(
        self, *, period: cdk.Duration | None = None, statistic: str = "Maximum", label: str | None = None
    ) -> cloudwatch.Metric:
        """Targets that were ejected because they fail. By default the most that any balancer task saw in a minute."""
        return self._metric(published.EJECTED_TARGETS, statistic, period, label)

    def metric_saturation(
        self, *, period: cdk.Duration | None = None, statistic: str = "Maximum", label: str | None = None
    ) -> cloudwatch.Metric:
        """The highest use of a limit, in percent: 100 if a call exceeded one, 0 without limits. By default the
        highest that any balancer task saw in each minute.
        """
        return self._metric(published.SATURATION, statistic, period, label)

    def _metric(
        self, metric: published.Metric, statistic: str, period: cdk.Duration | None, label: str | None
    ) -> cloudwatch.Metric:
        return self._published.metric(metric, statistic, service=self._published_service, period=period, label=label)


class ServiceCallMetrics(CallMetrics):
    """CloudWatch's metrics of the calls of one service: a :class:`GrpcBalancedService`, or any other service of a
    balancer with ``balancer.service_metrics(NAME)``.
    """

    def metric_calls_per_target(
        self, *, period: cdk.Duration | None = None, statistic: str = "Sum", label: str | None = None
    ) -> cloudwatch.Metric:
        """Calls that each serving target got in a minute. Each balancer task reports its own part of every minute, so
        only the sum over one minute is the whole.
        """
        return self._metric(published.CALLS_PER_TARGET, statistic, period, label)


class MetricsOfService(ServiceCallMetrics):
    """The metrics of a service by its logical name."""

    def __init__(self, source: MetricsSource, service_name: str) -> None:
        self._published = source
        self._published_service = service_name


class BalancerMetrics(CallMetrics):
    """CloudWatch's metrics of a balancer and of the Lambda that keeps its target list."""

    def service_metrics(self, service_name: str) -> ServiceCallMetrics:
        """The metrics of the calls of any service of this balancer, also of one that only has docker labels.

        :param service_name: Its logical name.
        """
        return MetricsOfService(self._published, service_name)

    def metric_failure_percent(
        self, *, period: cdk.Duration | None = None, statistic: str = "Maximum", label: str | None = None
    ) -> cloudwatch.Metric:
        """The percentage of failed calls of the service with the highest; 0 for fewer than 5 failures in a minute. By
        default the highest that any balancer task saw in each minute.
        """
        return self._metric(published.FAILURE_PERCENT, statistic, period, label)

    def metric_target_list_age(
        self, *, period: cdk.Duration | None = None, statistic: str = "Maximum", label: str | None = None
    ) -> cloudwatch.Metric:
        """The age of the target list: seconds since its source confirmed it, up to 6 when all is well. By default the
        oldest of all balancer tasks in each minute.
        """
        return self._metric(published.TARGET_LIST_AGE, statistic, period, label)

    def metric_event_to_envoy(
        self, *, period: cdk.Duration | None = None, statistic: str = "Maximum", label: str | None = None
    ) -> cloudwatch.Metric:
        """Seconds from ECS's event about a task until Envoy uses the change. Only in minutes with a change. By default
        the slowest in each minute.
        """
        return self._metric(published.EVENT_TO_ENVOY_SECONDS, statistic, period, label)

    def metric_draining_targets(
        self, *, period: cdk.Duration | None = None, statistic: str = "Maximum", label: str | None = None
    ) -> cloudwatch.Metric:
        """Targets that were told to stop and finish their calls. By default the most that any balancer task saw in each
        minute.
        """
        return self._metric(published.DRAINING_TARGETS, statistic, period, label)

    def metric_envoy_restarts(
        self, *, period: cdk.Duration | None = None, statistic: str = "Sum", label: str | None = None
    ) -> cloudwatch.Metric:
        """Restarts of Envoy within its task. By default their sum in each minute."""
        return self._metric(published.ENVOY_RESTARTS, statistic, period, label)

    def metric_rejected_resources(
        self, *, period: cdk.Duration | None = None, statistic: str = "Maximum", label: str | None = None
    ) -> cloudwatch.Metric:
        """Resources that a client currently rejects (NACK). By default the most that any balancer task saw in each
        minute.
        """
        return self._metric(published.REJECTED_RESOURCES, statistic, period, label)

    def metric_client_connections(
        self, *, period: cdk.Duration | None = None, statistic: str = "Sum", label: str | None = None
    ) -> cloudwatch.Metric:
        """Connections of callers, open at the end of the minute: only the sum over one minute is the whole."""
        return self._metric(published.CLIENT_CONNECTIONS, statistic, period, label)

    def metric_refresh_failures(
        self, *, period: cdk.Duration | None = None, statistic: str = "Sum", label: str | None = None
    ) -> cloudwatch.Metric:
        """The Lambda's failed attempts to refresh the target list. By default their sum in each minute."""
        return self._metric(published.REFRESH_FAILURES, statistic, period, label)

    def metric_rejected_labels(
        self, *, period: cdk.Duration | None = None, statistic: str = "Maximum", label: str | None = None
    ) -> cloudwatch.Metric:
        """Docker labels that cannot be applied. By default the most that the Lambda saw in each minute."""
        return self._metric(published.REJECTED_LABELS, statistic, period, label)

    def metric_shadowed_routes(
        self, *, period: cdk.Duration | None = None, statistic: str = "Maximum", label: str | None = None
    ) -> cloudwatch.Metric:
        """Routes that another service holds. By default the most that the Lambda saw in each minute."""
        return self._metric(published.SHADOWED_ROUTES, statistic, period, label)

    def metric_document_targets(
        self, *, period: cdk.Duration | None = None, statistic: str = "Maximum", label: str | None = None
    ) -> cloudwatch.Metric:
        """Targets in the document, serving and draining; with several clusters, of the largest. By default the most in
        each minute.
        """
        return self._metric(published.DOCUMENT_TARGETS, statistic, period, label)

    def metric_document_used(
        self, *, period: cdk.Duration | None = None, statistic: str = "Maximum", label: str | None = None
    ) -> cloudwatch.Metric:
        """How full the target document is, in percent. By default the most in each minute."""
        return self._metric(published.DOCUMENT_USED, statistic, period, label)
