"""Which target takes a call."""

# ruff: noqa: RUF009 - `setting` makes a dataclass field, as `field` does

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from grpc_lb_contract.policy.value_types import (
    FLAG,
    HOUR,
    METADATA_KEY,
    SECOND,
    PolicySection,
    choice,
    decimal,
    setting,
    time_within,
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
            found.append(("method", "needs balancing.metadata-key to be ring-hash or maglev"))
        if self.method not in HASHING and self.metadata_key is not None:
            found.append(("metadata_key", "needs balancing ring-hash or maglev"))
        if self.method is not Method.LEAST_REQUEST and self.active_request_bias != 1.0:
            found.append(("active_request_bias", "needs balancing least-request"))
        if self.method not in WEIGHING and self.slow_start is not None:
            found.append(("slow_start", "needs balancing round-robin or least-request"))
        return found
