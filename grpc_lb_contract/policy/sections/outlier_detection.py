"""When a target that fails is ejected."""

# ruff: noqa: RUF009 - `setting` makes a dataclass field, as `field` does

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from grpc_lb_contract.policy.value_types import (
    FLAG,
    HOUR,
    MAX_COUNT,
    MILLISECOND,
    SECOND,
    PolicySection,
    setting,
    time_within,
    whole,
)

# With fewer, one that fails every call is never 1.9 standard deviations below the mean.
SUCCESS_RATE_MIN_TARGETS = 5


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
        f"mean. It needs at least {SUCCESS_RATE_MIN_TARGETS} targets.",
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
            return [("success_rate_min_calls", "needs outlier.success-rate true")]
        return []
