"""How many tasks run, on which capacity, and how they are replaced."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props

MAX_TASKS = 5000
"""Of one service: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html"""
ROLL_BACK = ecs.DeploymentCircuitBreaker(rollback=True)
_FARGATE = ("FARGATE", "FARGATE_SPOT")


def check_percents(props: Props, desired_count: int, lowest: int, highest: int) -> None:
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
        raise props.error(prop, "strategies of which one at least has a weight above 0", weights)


def check_alarms(props: Props, alarms: ecs.DeploymentAlarmConfig | None) -> None:
    if alarms is not None and not alarms.alarm_names:
        raise props.error("deployment_alarms", "of one alarm at least (leave it out for none)", [])
