"""How many calls a second a service takes."""

from __future__ import annotations

from dataclasses import dataclass

from grpc_lb_contract.policy.value_types import MAX_COUNT, PolicySection, setting, whole


@dataclass(frozen=True, slots=True)
class RateLimit(PolicySection):
    """Calls beyond the rate get RESOURCE_EXHAUSTED and reach no target. Unset, there is no limit."""

    calls_per_second: int | None = setting(
        None,
        "rate-limit.calls-per-second",
        whole(1, MAX_COUNT),
        "Maximum calls a second for each route of the service, in each balancer. Calls to a host that another service "
        "names count on their own, and a change of any service's routes starts the count anew.",
    )
    burst: int | None = setting(
        None,
        "rate-limit.burst",
        whole(1, MAX_COUNT),
        "Maximum calls at once after a pause. Unset, as many as in a second.",
    )

    def conflicts(self) -> list[tuple[str, str]]:
        if self.calls_per_second is None and self.burst is not None:
            return [("burst", "needs rate-limit.calls-per-second")]
        return []
