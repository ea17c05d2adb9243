"""How one balancer does, in a few figures: what it tells the others, and what they make of it. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy_image.control_plane.report.problems import Urgency
from proxy_image.control_plane.report.report import Report

MAX_SERVICES = 200
MAX_TITLES = 3
MAX_TEXT = 200


class UnreadableSummaryError(ValueError):
    """What came is no balancer's summary."""


@dataclass(frozen=True, slots=True)
class Part:
    """One balancer's part of a service's calls."""

    calls_per_second: float
    failures: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Summary:
    """`failures` are those of the window of `window_seconds`; `problems` the first titles, "error" or "warning" in
    `worst`, "" where there is none but of services that nobody calls. Services are the busiest MAX_SERVICES.
    """

    task: str
    zone: str
    generation: str
    calls_per_second: float
    failures: int
    in_flight: int
    connections: int
    window_seconds: float
    p99_ms: float | None
    problem_count: int
    worst: str
    problems: tuple[str, ...]
    services: Mapping[str, Part] = field(default_factory=dict)


def summary_of(report: Report) -> Summary:
    busiest = sorted(report.services, key=lambda each: (-each.calls_per_second, each.name))[:MAX_SERVICES]
    own = [problem for problem in report.problems if not problem.of_another]
    return Summary(
        task=report.task,
        zone=report.zone,
        generation=report.generation or "",
        calls_per_second=report.calls_per_second,
        failures=report.failures_in_window,
        in_flight=report.in_flight,
        connections=report.connections,
        window_seconds=report.window_seconds,
        p99_ms=report.latency_ms[2],
        problem_count=len(own),
        worst=next((each.severity.value for each in own if each.urgency < Urgency.NOBODY_CALLS), ""),
        problems=tuple(problem.title for problem in own[:MAX_TITLES]),
        services={each.name: Part(each.calls_per_second, each.failures_in_window, each.in_flight) for each in busiest},
    )


def read_summary(content: Any) -> Summary:
    """Of JSON that came over the network. Raises `UnreadableSummaryError`."""
    try:
        p99_ms = content["p99_ms"]
        return Summary(
            task=_text(content["task"]),
            zone=_text(content["zone"]),
            generation=_text(content["generation"]),
            calls_per_second=_number(content["calls_per_second"]),
            failures=int(_number(content["failures"])),
            in_flight=int(_number(content["in_flight"])),
            connections=int(_number(content["connections"])),
            window_seconds=_number(content["window_seconds"]),
            p99_ms=None if p99_ms is None else _number(p99_ms),
            problem_count=int(_number(content["problem_count"])),
            worst=_severity(content["worst"]),
            problems=tuple(_text(each) for each in content["problems"][:MAX_TITLES]),
            services={
                _text(name): Part(
                    _number(part["calls_per_second"]), int(_number(part["failures"])), int(_number(part["in_flight"]))
                )
                for name, part in list(content["services"].items())[:MAX_SERVICES]
            },
        )
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise UnreadableSummaryError(f"a balancer's summary must have numbers and texts: {error!r}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"must be a text, got {value!r:.80}")
    return value[:MAX_TEXT]


def _severity(value: object) -> str:
    if value not in ("", "warning", "error"):
        raise ValueError(f"must be a severity, got {value!r:.80}")
    return str(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"must be a number from 0 on, got {value!r:.80}")
    return float(value)
