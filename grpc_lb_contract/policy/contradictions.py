"""Settings that another section of a policy makes useless: each section checks its own by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from grpc_lb_contract.policy.value_types import write_time

if TYPE_CHECKING:
    from grpc_lb_contract.policy.traffic_policy import TrafficPolicy


def contradictions(policy: TrafficPolicy) -> Iterator[tuple[str, str, str]]:
    """Section and field that cannot be applied, and what must be."""
    retry, most = policy.retry, policy.deadline.max
    if retry.per_try_timeout is not None and most is not None and retry.per_try_timeout >= most:
        yield "retry", "per_try_timeout", f"must be below deadline.max, {write_time(most)}, or no call is retried"
    wants_retries = bool(retry.on) or retry.per_try_timeout is not None
    if wants_retries and retry.budget_percent == 0 and retry.budget_min_concurrency == 0:
        yield "retry", "budget_percent", "must be above 0 where retry.on or a time for each try asks for retries"
    ejection = policy.outlier_detection
    asks = (ejection.consecutive_gateway_failures, ejection.consecutive_errors, ejection.success_rate or None)
    if ejection.max_ejection_percent == 0 and asks != (None, None, None):
        yield "outlier_detection", "max_ejection_percent", "must be above 0 where failures are to eject targets"
