"""Retries of calls, on another target."""

# ruff: noqa: RUF009 - `setting` makes a dataclass field, as `field` does

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from grpc_lb_contract.policy.value_types import (
    HOUR,
    MAX_COUNT,
    MILLISECOND,
    PERCENT,
    SECOND,
    PolicySection,
    Several,
    setting,
    some_of,
    time_within,
    whole,
)


class RetryStatus(StrEnum):
    """The gRPC statuses on which Envoy can retry.

    https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/router_filter#x-envoy-retry-grpc-on
    """

    CANCELLED = "CANCELLED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class Retry(PolicySection):
    """Retries on another target. Unset, only calls that no server can have seen are retried."""

    on: Several[RetryStatus] = setting(
        frozenset(),
        "retry.on",
        some_of(RetryStatus),
        "Statuses to retry although a server saw the call: list them only if calls may be made twice. Only answers "
        "without a message are retried.",
    )
    max_retries: int = setting(3, "retry.max-retries", whole(0, 10), "Maximum retries of a call.")
    per_try_timeout: timedelta | None = setting(
        None,
        "retry.per-try-timeout",
        time_within(10 * MILLISECOND, HOUR),
        "How long one try may take. A try that times out is retried, and so is a call whose connection broke, "
        "although a server may have seen it. Unset, a try may take as long as the call.",
    )
    base_backoff: timedelta = setting(
        10 * MILLISECOND,
        "retry.base-backoff",
        time_within(MILLISECOND, 60 * SECOND),
        "Maximum random pause before the first retry. It doubles for each further retry, up to 10 times this value.",
    )
    budget_percent: float = setting(
        100.0,
        "retry.budget-percent",
        PERCENT,
        "Maximum concurrent retries, in percent of the in-flight calls. A call beyond the budget fails with its "
        "original error.",
    )
    budget_min_concurrency: int = setting(
        100,
        "retry.budget-min-concurrency",
        whole(0, MAX_COUNT),
        "Concurrent retries that are always allowed, however few calls are in flight.",
    )

    def conflicts(self) -> list[tuple[str, str]]:
        without_effect = [name for name, value in (("on", self.on), ("per_try_timeout", self.per_try_timeout)) if value]
        return [(name, "needs retry.max-retries of 1 or more") for name in without_effect if not self.max_retries]
