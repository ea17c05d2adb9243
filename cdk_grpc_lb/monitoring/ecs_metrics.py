"""CloudWatch's metrics of an ECS service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch


class ServiceMetrics:
    """What CloudWatch knows of the tasks of ``service``."""

    service: ecs.FargateService
    """The Fargate service."""

    def metric_cpu_utilization(
        self, *, period: cdk.Duration | None = None, statistic: str | None = None
    ) -> cloudwatch.Metric:
        """How much of their CPU the tasks use, in percent. By default the average over 5 minutes."""
        return self.service.metric_cpu_utilization(period=period, statistic=statistic)

    def metric_memory_utilization(
        self, *, period: cdk.Duration | None = None, statistic: str | None = None
    ) -> cloudwatch.Metric:
        """How much of their memory the tasks use, in percent. By default the average over 5 minutes."""
        return self.service.metric_memory_utilization(period=period, statistic=statistic)

    def metric(
        self, metric_name: str, *, period: cdk.Duration | None = None, statistic: str | None = None
    ) -> cloudwatch.Metric:
        """Another metric of the service, by its name in the namespace ``AWS/ECS``. By default the average over 5
        minutes.
        """
        return self.service.metric(metric_name, period=period, statistic=statistic)
