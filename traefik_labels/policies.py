"""What is the same in all versions: balancing methods, circuit breakers, times and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from grpc_lb_contract.policy.value_types import write_time
from traefik_labels.grammar.parsing import read_expression
from traefik_labels.grammar.syntax import And, Call, Comparison, Expression, Not, NotReadable, Or
from traefik_labels.model import Draft

BALANCING = "grpc-lb.balancing"
REQUESTS = "grpc-lb.limits.requests"
CALLS_PER_SECOND = "grpc-lb.rate-limit.calls-per-second"
BURST = "grpc-lb.rate-limit.burst"
FAILURES_TO_REACH = "grpc-lb.outlier.consecutive-connect-failures"
UNAVAILABLE_ANSWERS = "grpc-lb.outlier.consecutive-gateway-failures"
TLS = "grpc-lb.tls"
STRIP_FORWARDED = "grpc-lb.forwarded-headers.strip"
WEB, WEB_ORIGINS = "grpc-lb.web", "grpc-lb.web.allow-origins"
EJECTION_TIME = "grpc-lb.outlier.base-ejection-time"

PER_CLIENT = "it holds for each address of a client, and no limit here does; write {ours} for all calls of the service"

METHODS = {
    "wrr": ("round-robin", ""),
    "drr": (
        "least-request",
        "drr gives fewer calls to targets that answer slowly; least-request gives them to those with fewer in flight",
    ),
    "p2c": ("least-request", ""),
    "leasttime": (
        "least-request",
        "leasttime goes by how fast targets answer; least-request by how many calls they have in flight",
    ),
}

STRATEGIES = ("wrr", "p2c", "hrw", "leasttime")
"""Of services of version 3."""

_HASH = (
    "hrw hashes the client's address; set grpc-lb.balancing=maglev and grpc-lb.balancing.metadata-key=KEY, to hash "
    "metadata"
)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_ANSWERS_THAT_EJECT = 5
"""Envoy's own number of gateway failures in a row:
https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/cluster/v3/outlier_detection.proto"""


def is_true(text: str) -> bool | None:
    """As Go's strconv.ParseBool, which Traefik uses: https://pkg.go.dev/strconv#ParseBool. None for what is neither."""
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    return False if text in ("0", "f", "F", "FALSE", "false", "False") else None


def seconds(text: str) -> float | None:
    """A duration of Go, or a number of seconds: https://pkg.go.dev/time#ParseDuration. None for what is neither."""
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    if len(text) > 64 or _TIME.fullmatch(text) is None:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def speaks_http2(draft: Draft, label: str, scheme: str) -> bool:
    """Whether gRPC can go to the targets: Traefik speaks HTTP/2 to them, in plain text or by TLS."""
    if scheme == "http":
        draft.leave_out(label, "HTTP/1.1 to the task, and gRPC needs HTTP/2: write h2c for the container to take part")
    elif scheme not in ("h2c", "https"):
        draft.reject(label, "must be h2c, http or https")
    return scheme in ("h2c", "https")


def put_tls(draft: Draft, label: str, scheme: str) -> None:
    if scheme == "https":
        draft.put(TLS, "true", label)
        draft.differs(
            label,
            "the task's certificate is not verified, where Traefik does unless its servers transport says otherwise; "
            "set grpc-lb.tls.verify=system and grpc-lb.tls.server-name=NAME",
        )


def put_time(draft: Draft, ours: str, label: str, text: str) -> None:
    found = seconds(text)
    if found is None:
        draft.reject(label, "must be a time such as 10s")
    else:
        draft.put(ours, write_time(timedelta(milliseconds=min(round(found * 1000), 10**11))), label)


def put_method(draft: Draft, label: str, text: str) -> None:
    known = METHODS.get(text.strip().lower())
    if known is None:
        if text.strip().lower() == "hrw":
            draft.leave_out(label, _HASH)
        else:
            draft.reject(label, f"must be one of {', '.join(METHODS)}, hrw")
        return
    draft.put(BALANCING, known[0], label)
    if known[1]:
        draft.differs(label, known[1])


def put_breaker(draft: Draft, label: str, text: str) -> None:
    """A circuit breaker cuts a whole service off. Outlier detection ejects single targets instead."""
    try:
        conditions = list(_conditions(read_expression(text, "NetworkErrorRatio() > 0.5")))
    except NotReadable as error:
        draft.reject(label, f"must be {error}")
        return
    for condition in conditions:
        name, arguments = condition.call.name, condition.call.arguments
        if condition.operator not in (">", ">="):
            draft.leave_out(label, f"{condition} trips it while all is well; only > has a counterpart")
        elif name == "NetworkErrorRatio":
            draft.put(FAILURES_TO_REACH, "2", label)
            draft.differs(
                label,
                f"{condition} cuts off the whole service; here a target that cannot be reached 2 times in a row is "
                "ejected, and the others go on",
            )
        elif name == "ResponseCodeRatio" and arguments[:1] >= ("500",):
            draft.put(UNAVAILABLE_ANSWERS, str(_ANSWERS_THAT_EJECT), label)
            draft.differs(
                label,
                f"{condition} goes by HTTP status, which is 200 for errors of gRPC too; here a target that answers "
                f"{_ANSWERS_THAT_EJECT} times in a row with UNAVAILABLE or DEADLINE_EXCEEDED is ejected",
            )
        else:
            draft.leave_out(label, f"{condition} has no counterpart; set grpc-lb.deadline.max to limit slow calls")


def _conditions(expression: Expression, *, negated: bool = False) -> Iterator[Comparison]:
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _conditions(part, negated=negated)
        case Not(what):
            yield from _conditions(what, negated=not negated)
        case Comparison() if not negated:
            yield expression
        case Comparison(call, operator, number, literal):
            yield Comparison(
                call, {">": "<=", ">=": "<", "<": ">=", "<=": ">"}.get(operator, operator), number, literal
            )
        case Call():
            raise NotReadable(f"a comparison such as NetworkErrorRatio() > 0.5; {expression} is none")


def put_rate(draft: Draft, label: str, *, average: str, period: str, burst: str, burst_label: str) -> None:
    """`average` calls in each `period`, and `burst` at once, "" for none. Labels are where the numbers stand."""
    calls, span = number(average), seconds(period)
    if calls is None or span is None or span <= 0:
        draft.reject(label, "must be a number of calls in a time such as 1s")
        return
    rate = calls / span
    if rate < 1:
        draft.leave_out(label, f"fewer calls than one a second have no counterpart, {average} in {period}")
        return
    draft.put(CALLS_PER_SECOND, str(int(rate)), label)
    if rate != int(rate):
        draft.differs(label, f"{average} calls in {period} are {rate:.3g} a second; the rate here is {int(rate)}")
    if number(burst):
        draft.put(BURST, burst.strip(), burst_label)


def number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text.strip()) else None
