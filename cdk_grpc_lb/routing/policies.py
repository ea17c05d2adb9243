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
        for problem in _in_vain(policy):
            raise ValueError(problem)
        if policy.mirror.service == of:
            raise ValueError(f"mirror.service must be another service than its own, got {of!r}")
    return policy


def check_routes(props: Props, registration: Registration) -> None:
    """Raise ValueError for a route whose settings contradict each other, or those that it has of its service."""
    with props.naming("routes"):
        for rule in registration.rules:
            for problem in _in_vain(rule.overrides.over(registration.policy)[0]):
                raise ValueError(f"{problem} (route {rule.name})")


def _in_vain(policy: TrafficPolicy) -> Iterator[str]:
    """Settings that another part takes the effect from."""
    retry, deadline = policy.retry, policy.deadline
    if retry.try_time is not None and deadline.ceiling is not None and retry.try_time >= deadline.ceiling:
        yield (
            f"retry.try_time must be below deadline.ceiling, {write_time(deadline.ceiling)}, or no call is tried "
            f"again, got {write_time(retry.try_time)}"
        )
    if (retry.on or retry.try_time is not None) and retry.budget_percent == 0 and retry.budget_least == 0:
        yield "retry.budget_percent must be above 0 beside retry.on or retry.try_time (or give budget_least), got 0"
    ejection = policy.ejection
    by_answers = ejection.unavailable_answers is not None or ejection.error_answers is not None
    if ejection.most_percent == 0 and (by_answers or ejection.success_rate):
        yield "ejection.most_percent must be above 0 beside what is to eject targets, got 0"
