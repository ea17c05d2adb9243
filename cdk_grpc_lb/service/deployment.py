"""How many tasks run, on which capacity, and how they are replaced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props

if TYPE_CHECKING:
    from cdk_grpc_lb.service.props import ServiceProps

MAX_TASKS = 5000
"""Of one service: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html"""
ROLL_BACK = ecs.DeploymentCircuitBreaker(rollback=True)
_FARGATE = ("FARGATE", "FARGATE_SPOT")


@dataclass(frozen=True, slots=True)
class Deployment:
    """The props of a service that say so, None standing for ECS's default."""

    desired_count: int
    min_healthy_percent: int
    max_healthy_percent: int
    circuit_breaker: ecs.DeploymentCircuitBreaker
    alarms: ecs.DeploymentAlarmConfig | None
    capacity_provider_strategies: Sequence[ecs.CapacityProviderStrategy] | None

    @classmethod
    def checked(cls, props: Props, given: ServiceProps) -> Deployment:
        """Raises ValueError for what no deployment could take."""
        desired_count = given.get("desired_count")
        deployment = cls(
            desired_count=desired_count if desired_count is not None else 2,
            min_healthy_percent=given.get("min_healthy_percent", 100),
            max_healthy_percent=given.get("max_healthy_percent", 200),
            circuit_breaker=given.get("circuit_breaker") or ROLL_BACK,
            alarms=given.get("deployment_alarms"),
            capacity_provider_strategies=given.get("capacity_provider_strategies"),
        )
        props.whole_number("desired_count", deployment.desired_count, 0, MAX_TASKS)
        _check_percents(props, deployment.desired_count, deployment.min_healthy_percent, deployment.max_healthy_percent)
        check_capacity(props, deployment.capacity_provider_strategies)
        if deployment.alarms is not None and not deployment.alarms.alarm_names:
            raise props.error(
                "deployment_alarms", "a configuration with at least one alarm (leave it out for none)", []
            )
        return deployment


def _check_percents(props: Props, desired_count: int, lowest: int, highest: int) -> None:
    """Raise ValueError for limits within which no task can be replaced."""
    props.whole_number("min_healthy_percent", lowest, 0, 100)
    props.whole_number("max_healthy_percent", highest, 100, 200)
    if any(is_unresolved(value) for value in (desired_count, lowest, highest)) or desired_count == 0:
        return
    # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html: rounded up, and down
    kept, most = math.ceil(desired_count * lowest / 100), math.floor(desired_count * highest / 100)
    if kept >= most:
        raise props.error(
            "max_healthy_percent",
            f"enough for one task more than the {kept} that min_healthy_percent {lowest} keeps of {desired_count}",
            highest,
        )


def check_capacity(props: Props, strategies: Sequence[ecs.CapacityProviderStrategy] | None) -> None:
    """Raise ValueError for strategies that ECS refuses for a Fargate service."""
    if strategies is None:
        return
    prop = "capacity_provider_strategies"
    names = [strategy.capacity_provider for strategy in strategies]
    known = [name for name in names if not is_unresolved(name)]
    if not names:
        raise props.error(prop, "a list that names at least one (leave it out for FARGATE)", [])
    for name in known:
        if name not in _FARGATE:
            raise props.error(prop, f"of {' and '.join(_FARGATE)}, because the tasks are Fargate's", repr(name))
    if len(set(known)) != len(known):
        raise props.error(prop, "one for each provider", ", ".join(known))
    # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CapacityProviderStrategyItem.html
    bases = [strategy.base for strategy in strategies if strategy.base and not is_unresolved(strategy.base)]
    if len(bases) > 1:
        raise props.error(prop, "at most one with a base", len(bases))
    weights = [strategy.weight for strategy in strategies]
    if not any(is_unresolved(weight) or weight for weight in weights):
        raise props.error(prop, "strategies at least one of which has a weight above 0", weights)
