"""What one route says about its calls otherwise than its service does."""

# ruff: noqa: RUF009 - the parts are immutable: one default serves all

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import total_ordering
from typing import Any

from grpc_lb_contract.named_fields import NamedFields
from grpc_lb_contract.policy.sections.deadline import Deadline
from grpc_lb_contract.policy.sections.retry import Retry
from grpc_lb_contract.policy.traffic_policy import (
    DEFAULTS,
    TABLE,
    PolicySetting,
    RejectedSetting,
    TrafficPolicy,
    read_part,
)
from grpc_lb_contract.policy.value_types import ConflictError, PolicySection, settings_of

_PARTS = ("deadline", "retry")
# The budget is Envoy's circuit breaker of the whole cluster: a route cannot have one of its own.
# https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/cluster/v3/circuit_breaker.proto
_OF_THE_WHOLE_SERVICE = ("budget_percent", "budget_min_concurrency")

OVERRIDES: tuple[PolicySetting, ...] = tuple(
    row for row in TABLE if row.part in _PARTS and row.name not in _OF_THE_WHOLE_SERVICE
)
"""The settings that a route may have of its own."""


@total_ordering
@dataclass(frozen=True, slots=True)
class Overrides(NamedFields):
    """Settings of a route that replace those of its service: the ones that are not at their default.

    The others are as the service has them. Raises ValueError for a retry budget, which only a service has.
    """

    deadline: Deadline = Deadline()
    retry: Retry = Retry()

    def __post_init__(self) -> None:
        for name in _OF_THE_WHOLE_SERVICE:
            value = getattr(self.retry, name)
            if value != getattr(DEFAULTS.retry, name):
                raise ValueError(f"Retry.{name} must be that of the whole service and not of a route, got {value!r}")

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Overrides):
            return NotImplemented
        return sorted(self.to_settings().items()) < sorted(other.to_settings().items())

    def to_settings(self) -> dict[str, str]:
        """As `TrafficPolicy.to_settings`."""
        values = {row: row.value_in(self) for row in OVERRIDES}
        return {
            row.setting.label: row.setting.kind.write(value) for row, value in values.items() if value != row.default
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> tuple[Overrides, tuple[RejectedSetting, ...]]:
        """As `TrafficPolicy.from_settings`."""
        rejected: list[RejectedSetting] = []
        known = {row.setting.label: settings[row.setting.label] for row in OVERRIDES if row.setting.label in settings}
        parts: dict[str, Any] = {part: read_part(part, known, rejected) for part in _PARTS}
        return cls(**parts), tuple(rejected)

    def over(self, policy: TrafficPolicy) -> tuple[TrafficPolicy, tuple[RejectedSetting, ...]]:
        """The policy of a route whose service has `policy`. Never raises.

        What the service says beside which these settings could not stand does not hold for the route (no retries:
        no statuses either); those that cannot stand beside what the service says are left out, each with a refusal.
        """
        if self == NO_OVERRIDES:
            return policy, ()
        rejected: list[RejectedSetting] = []
        parts: dict[str, Any] = {
            part: _merged(part, getattr(self, part), getattr(policy, part), rejected) for part in _PARTS
        }
        return replace(policy, **parts), tuple(rejected)


NO_OVERRIDES = Overrides()


def _merged(name: str, own: PolicySection, inherited: PolicySection, rejected: list[RejectedSetting]) -> PolicySection:
    of_route, of_service = _set_in(own), _set_in(inherited)
    while True:
        try:
            return type(own).of_read(of_service | of_route)
        except ConflictError as conflict:
            if conflict.name not in of_route:
                del of_service[conflict.name]
                continue
            row = next(row for row in OVERRIDES if (row.part, row.name) == (name, conflict.name))
            rejected.append(RejectedSetting(row.label, conflict.problem))
            del of_route[conflict.name]


def _set_in(part: PolicySection) -> dict[str, Any]:
    values = {name: (getattr(part, name), default) for name, _, default in settings_of(type(part))}
    return {name: value for name, (value, default) in values.items() if value != default}
