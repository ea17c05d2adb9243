"""What a balancer offers to those who watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cdk_grpc_lb.monitoring.alarms import GrpcAlarms
from cdk_grpc_lb.monitoring.dashboard import GrpcDashboard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_sns as sns

    from cdk_grpc_lb.balancer.balancer import GrpcBalancer


class Monitored:
    """A balancer that alarms and a dashboard can be made for, unless it is imported: then its own app makes them."""

    is_imported: bool = False
    """Whether another app, or another stack of this one, has made it."""

    def add_alarms(
        self,
        *,
        topic: sns.ITopic | sns.Topic | None = None,
        warning_topic: sns.ITopic | sns.Topic | None = None,
        ok_actions: bool = True,
        runbook_url: str | None = None,
        leave_out: Sequence[str] = (),
        failures_percent: float = 5,
        imbalance: float = 1.5,
        saturation_percent: float = 80,
    ) -> GrpcAlarms:
        """Make the alarms of this balancer and its services: :class:`GrpcAlarms` says which, and what they cost.

        :param topic: Where alarms are sent that should wake someone. By default nowhere: they show in CloudWatch alone.
        :param warning_topic: Where the others are sent. By default to ``topic``.
        :param ok_actions: Whether the end of an alarm is sent too. By default it is.
        :param runbook_url: Where your people find the runbook. By default, that of this project.
        :param leave_out: The names of alarms that are not wanted. By default, all are made.
        :param failures_percent: How many calls in a hundred of any service may fail. By default 5.
        :param imbalance: How many times its fair share the busiest target may get. By default 1.5.
        :param saturation_percent: How far limits may be used. By default 80 percent.
        """
        if self.is_imported:
            raise self._elsewhere("add_alarms")
        return GrpcAlarms(
            self._as_balancer,
            "Alarms",
            balancer=self._as_balancer,
            topic=topic,
            warning_topic=warning_topic,
            ok_actions=ok_actions,
            runbook_url=runbook_url,
            leave_out=leave_out,
            failures_percent=failures_percent,
            imbalance=imbalance,
            saturation_percent=saturation_percent,
        )

    def add_dashboard(self, *, dashboard_name: str | None = None) -> GrpcDashboard:
        """Make a dashboard of this balancer and its services: see :class:`GrpcDashboard`.

        :param dashboard_name: The name of the dashboard. By default, CloudFormation makes one.
        """
        if self.is_imported:
            raise self._elsewhere("add_dashboard")
        return GrpcDashboard(self._as_balancer, "Monitoring", balancer=self._as_balancer, dashboard_name=dashboard_name)

    def _elsewhere(self, method: str) -> ValueError:
        path = self._as_balancer.node.path
        return ValueError(
            f"{method} must be called where the balancer is made, got the imported one {path}: call it in that app"
        )

    @property
    def _as_balancer(self) -> GrpcBalancer:
        return cast("GrpcBalancer", self)
