"""Active health checks."""

# ruff: noqa: RUF009 - `setting` makes a dataclass field, as `field` does

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from grpc_lb_contract.policy.value_types import (
    FLAG,
    GRPC_SERVICE,
    HOUR,
    MILLISECOND,
    SECOND,
    PolicySection,
    setting,
    time_within,
    whole,
)


@dataclass(frozen=True, slots=True)
class HealthCheck(PolicySection):
    """Active health checks with the gRPC health protocol, from each balancer to each target.

    Unset, ECS's own health decides. A server without `grpc.health.v1.Health` is never healthy.
    """

    enabled: bool = setting(
        False,
        "health-check",
        FLAG,
        "Whether the balancer checks the health of targets and sends calls only to those that are SERVING.",
    )
    service: str | None = setting(
        None,
        "health-check.service",
        GRPC_SERVICE,
        "The service whose health is checked. Unset, the whole server's health.",
    )
    interval: timedelta = setting(
        5 * SECOND,
        "health-check.interval",
        time_within(100 * MILLISECOND, HOUR),
        "Time between two checks of a target.",
    )
    timeout: timedelta = setting(
        SECOND, "health-check.timeout", time_within(10 * MILLISECOND, HOUR), "How long a check may take."
    )
    unhealthy_threshold: int = setting(
        2,
        "health-check.unhealthy-threshold",
        whole(1, 100),
        "Consecutive failed checks after which a target gets no calls.",
    )
    healthy_threshold: int = setting(
        1, "health-check.healthy-threshold", whole(1, 100), "Consecutive passed checks after which it gets calls again."
    )

    def conflicts(self) -> list[tuple[str, str]]:
        alone = HealthCheck.__dataclass_fields__
        return [
            (name, "needs health-check true")
            for name in ("service", "interval", "timeout", "unhealthy_threshold", "healthy_threshold")
            if not self.enabled and getattr(self, name) != alone[name].default
        ]
