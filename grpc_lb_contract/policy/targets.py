"""Policy about targets: which one takes a call, how much each bears, when one is ejected."""

# ruff: noqa: RUF009 - `setting` makes a dataclass field, as `field` does

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from grpc_lb_contract.policy.value_types import (
    FLAG,
    GRPC_SERVICE,
    HOUR,
    MAX_COUNT,
    METADATA_KEY,
    MILLISECOND,
    SECOND,
    PolicySection,
    choice,
    decimal,
    setting,
    time_within,
    whole,
)


class Method(StrEnum):
    """How the target of a call is chosen."""

    ROUND_ROBIN = "round-robin"
    LEAST_REQUEST = "least-request"
    RANDOM = "random"
    RING_HASH = "ring-hash"
    MAGLEV = "maglev"


HASHING = (Method.RING_HASH, Method.MAGLEV)
WEIGHING = (Method.ROUND_ROBIN, Method.LEAST_REQUEST)


@dataclass(frozen=True, slots=True)
class Balancing(PolicySection):
    """Which target takes a call. Unset, targets take turns (round robin)."""

    method: Method = setting(
        Method.ROUND_ROBIN,
        "balancing",
        choice(Method),
        "How the balancer picks the target of each call. least-request picks the less busy of two; ring-hash and "
        "maglev send calls with the same metadata to the same target. When a target joins, maglev moves its fair "
        "share of the keys (1 in 3 if it is the third) and almost no others; ring-hash moves up to twice as many (4 "
        "in 9).",
    )
    metadata_key: str | None = setting(
        None,
        "balancing.metadata-key",
        METADATA_KEY,
        "The request metadata key that ring-hash and maglev hash. A call without it goes to a random target.",
    )
    active_request_bias: float = setting(
        1.0,
        "balancing.active-request-bias",
        decimal(0, 10),
        "How strongly in-flight calls count against a target with least-request when targets have different weights, "
        "as during slow start: 0 not at all, above 1 more than in proportion.",
    )
    slow_start: timedelta | None = setting(
        None,
        "balancing.slow-start",
        time_within(SECOND, HOUR),
        "How long a new target's share of the calls takes to grow from a tenth to its full share. Unset, it gets its "
        "full share at once.",
    )

    prefer_zone: bool = setting(
        False,
        "balancing.prefer-zone",
        FLAG,
        "Whether a balancer keeps calls in its own availability zone while that zone has its share of the targets, "
        "and sends more calls to other zones as those targets fail or drain. Group weights take precedence.",
    )

    def conflicts(self) -> list[tuple[str, str]]:
        found = []
        if self.method in HASHING and self.metadata_key is None:
            found.append(("method", "must stand beside a metadata-key where it is ring-hash or maglev"))
        if self.method not in HASHING and self.metadata_key is not None:
            found.append(("metadata_key", "must stand beside balancing ring-hash or maglev"))
        if self.method is not Method.LEAST_REQUEST and self.active_request_bias != 1.0:
            found.append(("active_request_bias", "must stand beside balancing least-request"))
        if self.method not in WEIGHING and self.slow_start is not None:
            found.append(("slow_start", "must stand beside balancing round-robin or least-request"))
        return found


@dataclass(frozen=True, slots=True)
class Limits(PolicySection):
    """Circuit breakers: calls beyond a limit get UNAVAILABLE at once and reach no target.

    Unset, the limits are too high to reach by accident (Envoy's own default is 1,024).
    """

    requests: int | None = setting(
        None,
        "limits.requests",
        whole(1, MAX_COUNT),
        "Maximum in-flight calls, including streams. Calls beyond it get UNAVAILABLE at once.",
    )
    pending: int | None = setting(
        None,
        "limits.pending",
        whole(1, MAX_COUNT),
        "Maximum calls that wait for a connection to a target. Calls beyond it get UNAVAILABLE at once.",
    )
    connections: int | None = setting(
        None,
        "limits.connections",
        whole(1, MAX_COUNT),
        "Maximum connections to all targets together. Each of a balancer's threads has one connection to each target "
        "that it calls, even beyond the limit, and more if a target limits the calls per connection. Calls beyond "
        "these wait.",
    )
    connections_per_target: int | None = setting(
        None,
        "limits.connections-per-target",
        whole(1, MAX_COUNT),
        "Maximum connections to one target. As above, each thread has one, and calls beyond it wait.",
    )


@dataclass(frozen=True, slots=True)
class OutlierDetection(PolicySection):
    """Targets that fail are ejected for a while: 1 s, then 2 s, up to 10 times the first.

    Unset, only failures to connect and tries that time out eject a target. Its answers never do: a client that calls
    a missing method would eject healthy tasks.
    """

    consecutive_connect_failures: int = setting(
        2,
        "outlier.consecutive-connect-failures",
        whole(1, 1000),
        "Consecutive failures to connect to a target that eject it. A try that times out (retry.per-try-timeout) "
        "counts as one, so a target that answers nothing is ejected. Each call that gets a connection resets the "
        "count: set 1 if calls come one at a time.",
    )
    consecutive_gateway_failures: int | None = setting(
        None,
        "outlier.consecutive-gateway-failures",
        whole(1, 1000),
        "Consecutive answers UNAVAILABLE or DEADLINE_EXCEEDED that eject a target. Unset, none do. Only answers "
        "without a message count; a stream that fails later does not.",
    )
    consecutive_errors: int | None = setting(
        None,
        "outlier.consecutive-errors",
        whole(1, 1000),
        "Consecutive answers UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE or DATA_LOSS that eject "
        "a target, whether caused by the target or the caller. Unset, none do.",
    )
    success_rate: bool = setting(
        False,
        "outlier.success-rate",
        FLAG,
        "Whether to eject a target whose success rate in an interval is more than 1.9 standard deviations below the "
        "mean. It needs at least 3 targets.",
    )
    success_rate_min_calls: int = setting(
        100,
        "outlier.success-rate-min-calls",
        whole(1, MAX_COUNT),
        "Calls that a target must have had in the interval for its success rate to count.",
    )
    base_ejection_time: timedelta = setting(
        SECOND,
        "outlier.base-ejection-time",
        time_within(100 * MILLISECOND, HOUR),
        "How long the first ejection lasts. The success-rate interval is equally long.",
    )
    max_ejection_percent: int = setting(
        50,
        "outlier.max-ejection-percent",
        whole(0, 100),
        "Maximum share of the targets ejected at once, in percent. The others keep their calls.",
    )

    def conflicts(self) -> list[tuple[str, str]]:
        if not self.success_rate and self.success_rate_min_calls != 100:
            return [("success_rate_min_calls", "must stand beside outlier.success-rate true")]
        return []


@dataclass(frozen=True, slots=True)
class HealthCheck(PolicySection):
    """Active health checks with the gRPC health protocol, from each balancer to each target.

    Unset, ECS's own health decides. A server without `grpc.health.v1.Health` is never healthy.
    """

    enabled: bool = setting(
        False,
        "health-check",
        FLAG,
        "Whether the balancer checks the health of targets and sends calls only to those that are SERVING.",
    )
    service: str | None = setting(
        None,
        "health-check.service",
        GRPC_SERVICE,
        "The service whose health is checked. Unset, the whole server's health.",
    )
    interval: timedelta = setting(
        5 * SECOND,
        "health-check.interval",
        time_within(100 * MILLISECOND, HOUR),
        "Time between two checks of a target.",
    )
    timeout: timedelta = setting(
        SECOND, "health-check.timeout", time_within(10 * MILLISECOND, HOUR), "How long a check may take."
    )
    unhealthy_threshold: int = setting(
        2,
        "health-check.unhealthy-threshold",
        whole(1, 100),
        "Consecutive failed checks after which a target gets no calls.",
    )
    healthy_threshold: int = setting(
        1, "health-check.healthy-threshold", whole(1, 100), "Consecutive passed checks after which it gets calls again."
    )

    def conflicts(self) -> list[tuple[str, str]]:
        alone = HealthCheck.__dataclass_fields__
        return [
            (name, "must stand beside health-check true")
            for name in ("service", "interval", "timeout", "unhealthy_threshold", "healthy_threshold")
            if not self.enabled and getattr(self, name) != alone[name].default
        ]
