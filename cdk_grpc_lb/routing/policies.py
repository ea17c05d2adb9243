"""Traffic policies whose parts contradict each other: the contract checks each part by itself."""

from __future__ import annotations

from collections.abc import Iterator

from cdk_grpc_lb.validation import Props
from grpc_lb_contract import Registration, TrafficPolicy
from grpc_lb_contract.policy.value_types import write_time


def check_policy(props: Props, policy: TrafficPolicy | None, *, of: str) -> TrafficPolicy:
    """The policy of a service, or the one that says nothing. Raises ValueError for settings that contradict another."""
    if policy is None:
        return TrafficPolicy()
    if not isinstance(policy, TrafficPolicy):
        raise props.error("policy", "a TrafficPolicy, such as TrafficPolicy(deadline=Deadline(...))", repr(policy))
    with props.naming("policy"):
        for problem in _contradictions(policy):
            raise ValueError(problem)
        if policy.mirror.service == of:
            raise ValueError(f"mirror.service must be another service than its own, got {of!r}")
    return policy


def check_routes(props: Props, registration: Registration) -> None:
    """Raise ValueError for a route whose settings contradict each other, or those that it has of its service."""
    with props.naming("routes"):
        for rule in registration.rules:
            for problem in _contradictions(rule.overrides.over(registration.policy)[0]):
                raise ValueError(f"{problem} (route {rule.name})")


def _contradictions(policy: TrafficPolicy) -> Iterator[str]:
    """Settings that another section of the policy makes useless."""
    retry, deadline = policy.retry, policy.deadline
    if retry.per_try_timeout is not None and deadline.max is not None and retry.per_try_timeout >= deadline.max:
        yield (
            f"retry.per_try_timeout must be below deadline.max, {write_time(deadline.max)}, or no call is "
            f"retried, got {write_time(retry.per_try_timeout)}"
        )
    if (
        (retry.on or retry.per_try_timeout is not None)
        and retry.budget_percent == 0
        and retry.budget_min_concurrency == 0
    ):
        yield (
            "retry.budget_percent must be above 0 beside retry.on or retry.per_try_timeout "
            "(or give budget_min_concurrency), got 0"
        )
    ejection = policy.outlier_detection
    by_answers = ejection.consecutive_gateway_failures is not None or ejection.consecutive_errors is not None
    if ejection.max_ejection_percent == 0 and (by_answers or ejection.success_rate):
        yield "ejection.max_ejection_percent must be above 0 beside what is to eject targets, got 0"
