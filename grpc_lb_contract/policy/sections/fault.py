"""Injected faults."""

# ruff: noqa: RUF009 - `setting` makes a dataclass field, as `field` does

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from grpc_lb_contract.policy.value_types import HOUR, MILLISECOND, PERCENT, PolicySection, choice, setting, time_within


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
