"""How long calls may take."""

# ruff: noqa: RUF009 - `setting` makes a dataclass field, as `field` does

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from grpc_lb_contract.policy.value_types import DAY, MILLISECOND, PolicySection, setting, time_within


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
