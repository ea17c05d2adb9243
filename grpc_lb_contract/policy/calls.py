"""Policy about calls: retries, time limits, rates, faults."""

# ruff: noqa: RUF009 - `setting` makes a dataclass field, as `field` does

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from grpc_lb_contract.policy.value_types import (
    DAY,
    HOUR,
    MAX_COUNT,
    MILLISECOND,
    PERCENT,
    SECOND,
    PolicySection,
    Several,
    choice,
    setting,
    some_of,
    time_within,
    whole,
)


class RetryStatus(StrEnum):
    """The gRPC statuses on which Envoy can retry.

    https://www.envoyproxy.io/docs/envoy/v1.39.0/configuration/http/http_filters/router_filter#x-envoy-retry-grpc-on
    """

    CANCELLED = "CANCELLED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"


class Status(StrEnum):
    """Every gRPC status but OK, in the order of its number.

    https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
    """

    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"
    UNAUTHENTICATED = "UNAUTHENTICATED"

    @property
    def code(self) -> int:
        return list(Status).index(self) + 1


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


@dataclass(frozen=True, slots=True)
class Deadline(PolicySection):
    """Deadlines of calls. Unset, the caller's own deadline applies, however long, and none is added."""

    max: timedelta | None = setting(
        None, "deadline.max", time_within(MILLISECOND, DAY), "Maximum duration of any call, including streams."
    )
    default: timedelta | None = setting(
        None, "deadline.default", time_within(MILLISECOND, DAY), "The deadline of calls that arrive without one."
    )

    def conflicts(self) -> list[tuple[str, str]]:
        if self.max is not None and self.default is not None and self.default > self.max:
            return [("default", "must be at most deadline.max")]
        return []


@dataclass(frozen=True, slots=True)
class RateLimit(PolicySection):
    """Calls beyond the rate get RESOURCE_EXHAUSTED and reach no target. Unset, there is no limit."""

    calls_per_second: int | None = setting(
        None,
        "rate-limit.calls-per-second",
        whole(1, MAX_COUNT),
        "Maximum calls a second for each route of the service.",
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


@dataclass(frozen=True, slots=True)
class Fault(PolicySection):
    """Injected faults, for game days. Unset, there are none."""

    delay: timedelta | None = setting(
        None, "fault.delay", time_within(MILLISECOND, HOUR), "How long calls are delayed before they reach a target."
    )
    delay_percent: float = setting(100.0, "fault.delay-percent", PERCENT, "Percentage of the calls that are delayed.")
    abort: Status | None = setting(
        None, "fault.abort", choice(Status), "The status that calls get without reaching a target."
    )
    abort_percent: float = setting(
        100.0, "fault.abort-percent", PERCENT, "Percentage of the calls that get this status."
    )

    def conflicts(self) -> list[tuple[str, str]]:
        found = []
        if self.delay is None and self.delay_percent != 100.0:
            found.append(("delay_percent", "needs fault.delay"))
        if self.abort is None and self.abort_percent != 100.0:
            found.append(("abort_percent", "needs fault.abort"))
        return found
