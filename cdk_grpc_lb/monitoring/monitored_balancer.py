"""What a balancer offers to those who watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cdk_grpc_lb.checked_calls import checked
from cdk_grpc_lb.monitoring.alarms import DEFAULTS, AlarmProps, GrpcAlarms
from cdk_grpc_lb.monitoring.dashboard import GrpcDashboard
from cdk_grpc_lb.signatures import takes

if TYPE_CHECKING:
    from typing import Unpack

    from cdk_grpc_lb.balancer.balancer import GrpcBalancer


class Monitored:
    """A balancer that alarms and a dashboard can be made for, unless it is imported: then its own app makes them."""

    is_imported: bool = False
    """Whether another app, or another stack of this one, has made it."""

    @takes(AlarmProps, DEFAULTS)
    def add_alarms(self, **props: Unpack[AlarmProps]) -> GrpcAlarms:
        """Make the alarms of this balancer and its services: :class:`GrpcAlarms` says which, and what they cost.

        :param props: Those of :class:`GrpcAlarms` but ``balancer``.
        """
        if self.is_imported:
            raise self._elsewhere("add_alarms")
        self._only_once("add_alarms", "Alarms", "GrpcAlarms")
        return GrpcAlarms(self._as_balancer, "Alarms", balancer=self._as_balancer, **props)

    @checked
    def add_dashboard(self, *, dashboard_name: str | None = None) -> GrpcDashboard:
        """Make a dashboard of this balancer and its services: see :class:`GrpcDashboard`.

        :param dashboard_name: The name of the dashboard. By default, CloudFormation makes one.
        """
        if self.is_imported:
            raise self._elsewhere("add_dashboard")
        self._only_once("add_dashboard", "Monitoring", "GrpcDashboard")
        return GrpcDashboard(self._as_balancer, "Monitoring", balancer=self._as_balancer, dashboard_name=dashboard_name)

    def _only_once(self, method: str, made: str, construct: str) -> None:
        if self._as_balancer.node.try_find_child(made) is not None:
            path = self._as_balancer.node.path
            raise ValueError(
                f"{method} must be called once, got a second call ({path}): make a {construct} where you want another"
            )

    def _elsewhere(self, method: str) -> ValueError:
        path = self._as_balancer.node.path
        return ValueError(
            f"{method} must be called where the balancer is made, got the imported one {path}: call it in that app"
        )

    @property
    def _as_balancer(self) -> GrpcBalancer:
        return cast("GrpcBalancer", self)
