"""How calls to a service are treated: what its owner may say, and what happens where the owner says nothing.

Each field of a part is one setting, with the same text in a docker label and in the document. Limits and rates hold for
each balancer by itself: two balancers let through twice as much.
"""

# ruff: noqa: RUF009 - the parts are immutable: one default serves all

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from grpc_lb_contract.named_fields import NamedFields
from grpc_lb_contract.policy.contradictions import contradictions
from grpc_lb_contract.policy.sections.balancing import Balancing
from grpc_lb_contract.policy.sections.deadline import Deadline
from grpc_lb_contract.policy.sections.fault import Fault
from grpc_lb_contract.policy.sections.forwarded_headers import ForwardedHeaders
from grpc_lb_contract.policy.sections.grpc_web import Web
from grpc_lb_contract.policy.sections.health_check import HealthCheck
from grpc_lb_contract.policy.sections.limits import Limits
from grpc_lb_contract.policy.sections.mirror import Mirror
from grpc_lb_contract.policy.sections.outlier_detection import OutlierDetection
from grpc_lb_contract.policy.sections.rate_limit import RateLimit
from grpc_lb_contract.policy.sections.retry import Retry
from grpc_lb_contract.policy.sections.tls import Tls
from grpc_lb_contract.policy.value_types import ConflictError, PolicySection, Setting, settings_of

PREFIX = "grpc-lb."


@dataclass(frozen=True, slots=True)
class RejectedSetting:
    """A setting that cannot be applied: its label, and what must be."""

    label: str
    problem: str


@dataclass(frozen=True, slots=True)
class TrafficPolicy(NamedFields):
    """How a balancer treats a service's calls. `TrafficPolicy()` has the defaults.

    Raises `ValueError` for a part of another type; each part does so for a value that is not allowed.
    """

    balancing: Balancing = Balancing()
    limits: Limits = Limits()
    outlier_detection: OutlierDetection = OutlierDetection()
    health_check: HealthCheck = HealthCheck()
    retry: Retry = Retry()
    deadline: Deadline = Deadline()
    rate_limit: RateLimit = RateLimit()
    fault: Fault = Fault()
    mirror: Mirror = Mirror()
    tls: Tls = Tls()
    web: Web = Web()
    forwarded_headers: ForwardedHeaders = ForwardedHeaders()

    def __post_init__(self) -> None:
        for name, kind in _PARTS.items():
            part = getattr(self, name)
            if not isinstance(part, kind):
                # ECS has a HealthCheck too.
                whose = f" of {type(part).__module__}" if type(part).__name__ == kind.__name__ else ""
                raise ValueError(f"TrafficPolicy.{name} must be a {kind.__name__}, got {part!r}{whose}")  # noqa: TRY004 - as every other

    def to_labels(self) -> dict[str, str]:
        """The labels that `from_labels` reads as this policy: those that differ from the defaults."""
        return {PREFIX + name: text for name, text in self.to_settings().items()}

    @classmethod
    def from_labels(cls, labels: Mapping[str, str]) -> tuple[TrafficPolicy, tuple[RejectedSetting, ...]]:
        """Never raises: where a label cannot be applied its default stays, and a refusal tells what must be."""
        return cls.from_settings({name.removeprefix(PREFIX): labels[name] for name in POLICY_LABELS if name in labels})

    def to_settings(self) -> dict[str, str]:
        """Labels without their prefix, as the document has them."""
        if self == DEFAULTS:  # as most policies, of which a large cluster has thousands
            return {}
        texts = {}
        for row in TABLE:
            value = row.value_in(self)
            if value != row.default:
                texts[row.setting.label] = row.setting.kind.write(value)
        return texts

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> tuple[TrafficPolicy, tuple[RejectedSetting, ...]]:
        """As `from_labels`. Settings that are not known are passed over."""
        if not settings:
            return DEFAULTS, ()
        rejected: list[RejectedSetting] = []
        parts = {part: read_part(part, settings, rejected) for part in _PARTS}
        policy = cls(**parts)  # type: ignore[arg-type]  # each part under its own name
        for part, name, problem in contradictions(policy):
            row = next(row for row in TABLE if (row.part, row.name) == (part, name))
            rejected.append(RejectedSetting(row.label, problem))
            policy = replace(policy, **{part: replace(getattr(policy, part), **{name: row.default})})
        return policy, tuple(rejected)


@dataclass(frozen=True, slots=True)
class PolicySetting:
    """One row of the table by which settings are read, written and documented."""

    part: str
    name: str
    setting: Setting
    default: Any

    @property
    def label(self) -> str:
        return PREFIX + self.setting.label

    def value_in(self, policy: object) -> Any:
        """Of a policy, or of overrides that have this part."""
        return getattr(getattr(policy, self.part), self.name)


_PARTS: dict[str, type[PolicySection]] = {
    each.name: cast(type[PolicySection], type(each.default)) for each in fields(TrafficPolicy)
}
TABLE = tuple(
    PolicySetting(part, name, setting, default)
    for part, kind in _PARTS.items()
    for name, setting, default in settings_of(kind)
)
POLICY_LABELS = tuple(row.label for row in TABLE)
DEFAULTS = TrafficPolicy()


def read_part(part: str, texts: Mapping[str, object], rejected: list[RejectedSetting]) -> PolicySection:
    """One part of a policy, of settings by their labels without the prefix; adds a refusal for each bad one."""
    rows = {row.name: row for row in TABLE if row.part == part and row.setting.label in texts}
    values = {}
    for name, row in rows.items():
        text = texts[row.setting.label]
        value = row.setting.kind.read(text.strip()) if isinstance(text, str) else None
        if value is None:
            rejected.append(RejectedSetting(row.label, f"must be {row.setting.kind.rule}"))
        else:
            values[name] = value
    while True:
        try:
            return _PARTS[part].of_read(values)
        except ConflictError as conflict:
            rejected.append(RejectedSetting(rows[conflict.name].label, conflict.problem))
            del values[conflict.name]
