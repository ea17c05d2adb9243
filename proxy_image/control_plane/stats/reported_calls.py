"""Calls that clients without a proxy told of, as statistics have them: Envoy sees none of these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReportedCalls:
    """Of one service, since this control plane started.

    failures: those that clients dropped, for a limit. errors: those that a task ended with an error. Clients do not
    tell its status: most services answer some with NOT_FOUND or the like on a good day, which must wake nobody.
    """

    calls: int = 0
    failures: int = 0
    errors: int = 0


def reported_calls(counts: Mapping[tuple[str, str, str, str], int]) -> dict[str, ReportedCalls]:
    """By service. counts: by service, the client's zone and kind, and outcome (`CallCounts`)."""
    calls: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for (service, _, _, outcome), number in counts.items():
        calls[service] += number
        failures[service] += number if outcome == "dropped" else 0
        errors[service] += number if outcome == "error" else 0
    return {service: ReportedCalls(number, failures[service], errors[service]) for service, number in calls.items()}
