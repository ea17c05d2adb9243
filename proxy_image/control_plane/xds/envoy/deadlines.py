"""A service's deadlines in Envoy's routes, so that a call that meets one ends with DEADLINE_EXCEEDED.

Envoy's own timer can only reset a call whose response headers are sent, which callers see as INTERNAL. A gRPC server
that knows the deadline answers with the right status. So the server is told, in grpc-timeout, and Envoy's timer comes
after: it ends the calls of servers that keep no deadlines. A call whose own deadline is short enough has no such timer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2

from grpc_lb_contract import Deadline
from proxy_image.control_plane.xds.envoy.cluster_policy import seconds

TIMEOUT_KEY = "grpc-timeout"
# How long after the deadline Envoy ends a call that the server has not.
GRACE = timedelta(seconds=1)

# https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
MAX_DIGITS = 8
_MICROSECONDS = {"u": 1, "m": 1_000, "S": 1_000_000, "M": 60_000_000, "H": 3_600_000_000}
_UNIT_OF_NANOSECONDS = "n"

HeaderMatcher = route_components_pb2.HeaderMatcher


@dataclass(frozen=True, slots=True)
class Timed:
    """One of the routes that take a service's calls, by their grpc-timeout. `limit` None leaves calls as they are."""

    limit: timedelta | None = None
    condition: Any = None

    @property
    def max_stream_duration(self) -> Any:
        if self.limit is None:
            return None
        return route_components_pb2.RouteAction.MaxStreamDuration(max_stream_duration=seconds(self.limit + GRACE))

    @property
    def added_headers(self) -> tuple[Any, ...]:
        """What the server is told, in place of what Envoy makes of its timer."""
        if self.limit is None:
            return ()
        option = base_pb2.HeaderValueOption
        value = f"{self.limit // timedelta(milliseconds=1)}m"
        return (
            option(
                header=base_pb2.HeaderValue(key=TIMEOUT_KEY, value=value),
                append_action=option.OVERWRITE_IF_EXISTS_OR_ADD,
            ),
        )


@dataclass(frozen=True, slots=True)
class TimedByEnvoy:
    """One route for all calls: Envoy's timer ends them at their deadline, with INTERNAL where a stream has begun."""

    deadline: Deadline
    condition: Any = None

    @property
    def max_stream_duration(self) -> Any:
        without = self.deadline.max if self.deadline.default is None else self.deadline.default
        if without is None:
            return None
        return route_components_pb2.RouteAction.MaxStreamDuration(
            max_stream_duration=seconds(without),
            # 0 is the caller's own, however long it is.
            grpc_timeout_header_max=seconds(self.deadline.max or timedelta(0)),
        )

    @property
    def added_headers(self) -> tuple[Any, ...]:
        """None: Envoy writes its timer into grpc-timeout."""
        return ()


def timed(deadline: Deadline) -> tuple[Timed, ...]:
    """In the order in which Envoy must try them: the last takes what is left."""
    without = deadline.max if deadline.default is None else deadline.default
    if without is None:
        return (Timed(),)
    if deadline.max is None:
        return Timed(condition=HeaderMatcher(name=TIMEOUT_KEY, present_match=True)), Timed(without)
    within = string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=at_most(deadline.max)))
    short = Timed(condition=HeaderMatcher(name=TIMEOUT_KEY, string_match=within))
    if without == deadline.max:
        return short, Timed(without)
    return short, Timed(without, HeaderMatcher(name=TIMEOUT_KEY, present_match=False)), Timed(deadline.max)


def at_most(limit: timedelta) -> str:
    """A regular expression for the values of grpc-timeout that are no longer than this."""
    microseconds = limit // timedelta(microseconds=1)
    longest = {_UNIT_OF_NANOSECONDS: 1_000 * microseconds}
    longest |= {unit: microseconds // length for unit, length in _MICROSECONDS.items()}
    return "|".join(f"({_number_at_most(longest[unit])}){unit}" for unit in longest)


def _number_at_most(most: int) -> str:
    """For 250: 0*, then fewer digits, or 0 or 1 and two digits, or 2 and below 5 and one digit, or 250."""
    digits = str(most)
    if len(digits) > MAX_DIGITS:
        return f"[0-9]{{1,{MAX_DIGITS}}}"
    found = [f"[0-9]{{1,{len(digits) - 1}}}"] if len(digits) > 1 else []
    for place, digit in enumerate(digits):
        if digit != "0":
            rest = len(digits) - place - 1
            found.append(f"{digits[:place]}[0-{int(digit) - 1}]" + (f"[0-9]{{{rest}}}" if rest else ""))
    return f"0*({'|'.join((*found, digits))})"
