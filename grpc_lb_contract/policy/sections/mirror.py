"""Copies of calls to another service."""

from __future__ import annotations

from dataclasses import dataclass

from grpc_lb_contract.names import SERVICE_NAME, SERVICE_NAME_RULE
from grpc_lb_contract.policy.value_types import PERCENT, PolicySection, ValueType, setting

SERVICE = ValueType(
    f"the name of a service: {SERVICE_NAME_RULE}", lambda text: text if SERVICE_NAME.fullmatch(text) else None, str
)


@dataclass(frozen=True, slots=True)
class Mirror(PolicySection):
    """Copies of calls to another service, whose answers are dropped. Unset, there are none."""

    service: str | None = setting(
        None,
        "mirror.service",
        SERVICE,
        "The service that gets copies of calls. Its answers are dropped, and a missing answer does not affect the "
        "call. A copy is sent once, and ends after 10 s.",
    )
    percent: float = setting(100.0, "mirror.percent", PERCENT, "Percentage of the calls that are copied.")

    def conflicts(self) -> list[tuple[str, str]]:
        if self.service is None and self.percent != 100.0:
            return [("percent", "needs mirror.service")]
        return []
