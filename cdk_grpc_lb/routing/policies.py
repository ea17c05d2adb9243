"""Traffic policies whose parts contradict each other: the contract checks each part by itself."""

from __future__ import annotations

from collections.abc import Iterator

from cdk_grpc_lb.validation import Props
from grpc_lb_contract import Registration, TrafficPolicy
from grpc_lb_contract.policy.contradictions import contradictions
from grpc_lb_contract.policy.traffic_policy import TABLE


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
    for section, name, problem in contradictions(policy):
        (row,) = (row for row in TABLE if (row.part, row.name) == (section, name))
        yield f"{section}.{name} {problem}, got {row.setting.kind.write(row.value_in(policy))}"
