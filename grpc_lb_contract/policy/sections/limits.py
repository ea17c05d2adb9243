"""How much the targets of a service bear: circuit breakers."""

from __future__ import annotations

from dataclasses import dataclass

from grpc_lb_contract.policy.value_types import (
    MAX_COUNT,
    PolicySection,
    setting,
    whole,
)


@dataclass(frozen=True, slots=True)
class Limits(PolicySection):
    """Circuit breakers: calls beyond a limit get UNAVAILABLE at once and reach no target.

    Each balancer counts on its own. Unset, the limits are too high to reach by accident (Envoy's own default is 1,024).
    """

    requests: int | None = setting(
        None,
        "limits.requests",
        whole(1, MAX_COUNT),
        "Maximum in-flight calls of each balancer, including streams. Calls beyond it get UNAVAILABLE at once.",
    )
    pending: int | None = setting(
        None,
        "limits.pending",
        whole(1, MAX_COUNT),
        "Maximum calls that wait in each balancer for a connection to a target. Calls beyond it get UNAVAILABLE at "
        "once.",
    )
    connections: int | None = setting(
        None,
        "limits.connections",
        whole(1, MAX_COUNT),
        "Maximum connections of each balancer to all targets together. Each of its threads has one connection to each "
        "target that it calls, even beyond the limit, and more if a target limits the calls per connection. Calls "
        "beyond these wait.",
    )
    connections_per_target: int | None = setting(
        None,
        "limits.connections-per-target",
        whole(1, MAX_COUNT),
        "Maximum connections of each balancer to one target. As above, each thread has one, and calls beyond it wait.",
    )
