"""Calls that ended, as their callers saw them: by service, gRPC status and method, read of Envoy's statistics."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from proxy_image.control_plane.stats.histogram import NO_TIMES, Histogram
from proxy_image.envoy.shared_values import CALLS_STATISTICS, METHODS_STATISTICS

_T = TypeVar("_T")

# https://github.com/grpc/grpc/blob/master/doc/statuscodes.md, by number.
STATUSES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
OK = STATUSES[0]
# What a server knows a call by whose caller went away before there was a status.
GIVEN_UP = STATUSES[1]
# A number that is none of gRPC's.
OTHER = "OTHER"

STATS_FILTER = f"({CALLS_STATISTICS}|{METHODS_STATISTICS})[.](ended|duration_ms)[.].*"
_CALLS = re.compile(rf"{CALLS_STATISTICS}\.ended\.service\.(?P<service>[^.]*)\.status\.(?P<status>[^.]*)")
_TIMES = re.compile(rf"{CALLS_STATISTICS}\.duration_ms\.service\.(?P<service>[^.]*)")
_METHOD_CALLS = re.compile(
    rf"{METHODS_STATISTICS}\.ended\.service\.(?P<service>[^.]*)\.method\.(?P<method>.*)\.status\.(?P<status>[^.]*)"
)
_METHOD_TIMES = re.compile(rf"{METHODS_STATISTICS}\.duration_ms\.service\.(?P<service>[^.]*)\.method\.(?P<method>.*)")


@dataclass(frozen=True, slots=True)
class Ended:
    statuses: Mapping[str, int] = field(default_factory=dict)
    """Calls by gRPC status: one of STATUSES, or OTHER."""
    latency: Histogram = NO_TIMES


NONE_ENDED = Ended()


@dataclass(frozen=True, slots=True)
class EndedCalls:
    """Of each service by its cluster's name, "" for calls that no service took; and of each of its methods."""

    services: Mapping[str, Ended] = field(default_factory=dict)
    methods: Mapping[str, Mapping[str, Ended]] = field(default_factory=dict)


def ended_calls(values: Mapping[str, int], histograms: Mapping[str, Histogram]) -> EndedCalls:
    of_services = _gathered(_CALLS, _TIMES, values, histograms)
    methods: dict[str, dict[str, Ended]] = {}
    for (cluster, method), found in _gathered(_METHOD_CALLS, _METHOD_TIMES, values, histograms).items():
        methods.setdefault(cluster, {})[method.removeprefix("/")] = found
    return EndedCalls({cluster: found for (cluster, _), found in of_services.items()}, methods)


def together(one: Mapping[str, Ended], other: Mapping[str, Ended]) -> dict[str, Ended]:
    return {
        key: Ended(
            sums(one.get(key, NONE_ENDED).statuses, other.get(key, NONE_ENDED).statuses),
            one.get(key, NONE_ENDED).latency + other.get(key, NONE_ENDED).latency,
        )
        for key in one.keys() | other.keys()
    }


def sums(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in one.keys() | other.keys()}


def _gathered(
    counted: re.Pattern[str],
    timed: re.Pattern[str],
    values: Mapping[str, int],
    histograms: Mapping[str, Histogram],
) -> dict[tuple[str, str], Ended]:
    statuses: dict[tuple[str, str], dict[str, int]] = {}
    for where, match, count in _matching(counted, values):
        of_call = statuses.setdefault(where, {})
        status = _status(match["status"])
        of_call[status] = of_call.get(status, 0) + count
    times = {where: histogram for where, _, histogram in _matching(timed, histograms)}
    return {where: Ended(of_call, times.get(where, NO_TIMES)) for where, of_call in statuses.items()}


def _matching(pattern: re.Pattern[str], found: Mapping[str, _T]) -> Iterator[tuple[tuple[str, str], re.Match[str], _T]]:
    for name, value in found.items():
        match = pattern.fullmatch(name)
        if match is not None:
            yield (match["service"], match.groupdict().get("method", "")), match, value


def _status(text: str) -> str:
    number, _, flags = text.partition("/")
    # Envoy's flags: the caller reset the call (DR), or its connection ended (DC).
    if not number or {"DR", "DC"} & set(flags.split(",")):
        return GIVEN_UP
    return STATUSES[int(number)] if number.isdecimal() and int(number) < len(STATUSES) else OTHER
