"""Settings of middlewares that Traefik decodes and then refuses: it serves no call by a router with one of those.

https://github.com/traefik/traefik/tree/v3.7/pkg/middlewares, each kind's `New`
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from traefik_labels.grammar.parsing import read_expression
from traefik_labels.grammar.syntax import And, Call, Comparison, Expression, NotReadable, Or
from traefik_labels.policies import is_true
from traefik_labels.rules.host_patterns import is_refused

Texts = Mapping[str, str]
"""What a middleware's settings say: `retry.attempts`."""

Refusal = tuple[str, str]
"""A setting, and what it must be."""


def refusal(kind: str, texts: Texts) -> Refusal | None:
    """Why Traefik refuses a middleware of this kind; None where it takes it."""
    check = _CHECKS.get(kind)
    return None if check is None else next(check(texts), None)


def _retry(texts: Texts) -> Iterator[Refusal]:
    if int(texts.get("retry.attempts", "0")) <= 0:
        yield "retry.attempts", "a number of tries, 1 or more"


def _in_flight(texts: Texts) -> Iterator[Refusal]:
    if int(texts.get("inflightreq.amount", "0")) <= 0:
        yield "inflightreq.amount", "a number of requests, 1 or more"
    yield from _criterion("inflightreq", texts)


def _rate_limit(texts: Texts) -> Iterator[Refusal]:
    if texts.get("ratelimit.period", "").startswith("-"):
        yield "ratelimit.period", "a time such as 1s"
    yield from _criterion("ratelimit", texts)


def _criterion(kind: str, texts: Texts) -> Iterator[Refusal]:
    prefix = f"{kind}.sourcecriterion."
    by_host, by_header = f"{prefix}requesthost", f"{prefix}requestheadername"
    by_address = next((setting for setting in texts if setting.startswith(f"{prefix}ipstrategy")), None)
    said = [
        setting
        for setting, is_said in (
            (by_address, by_address is not None),
            (by_header, texts.get(by_header, "") != ""),
            (by_host, is_true(texts.get(by_host, "")) is True),
        )
        if is_said and setting
    ]
    if len(said) > 1:
        yield said[-1], "the only criterion of the source"
    excluded = f"{prefix}ipstrategy.excludedips"
    if not all(_is_address(part) for part in _list(texts.get(excluded, ""))):
        yield excluded, "a list of IP addresses and ranges"


def _breaker(texts: Texts) -> Iterator[Refusal]:
    functions = {
        "NetworkErrorRatio": ("", float),
        "LatencyAtQuantileMS": ("f", int),
        "ResponseCodeRatio": ("iiii", float),
    }
    if not _is_predicate(texts.get("circuitbreaker.expression", ""), functions):
        yield "circuitbreaker.expression", "an expression such as NetworkErrorRatio() > 0.5"


def _buffering(texts: Texts) -> Iterator[Refusal]:
    functions = {"Attempts": ("", int), "ResponseCode": ("", int), "IsNetworkError": ("", bool)}
    expression = texts.get("buffering.retryexpression", "")
    if expression and not _is_predicate(expression, functions):
        yield "buffering.retryexpression", "an expression such as IsNetworkError() && Attempts() < 3"
    for setting in ("buffering.memrequestbodybytes", "buffering.memresponsebodybytes"):
        if int(texts.get(setting, "0")) < 0:
            yield setting, "a number of bytes, 0 or more"


def _errors(texts: Texts) -> Iterator[Refusal]:
    if not texts.get("errors.service"):
        yield "errors.service", "one of the services"
    ranges = _list(texts.get("errors.status", ""))
    if not all(map(_STATUS.fullmatch, ranges)):
        yield "errors.status", "a list of statuses such as 500-599"
    elif any(int(first) <= _OK <= int(last or first) for first, _, last in (one.partition("-") for one in ranges)):
        yield "errors.status", f"a list of statuses without {_OK}, that of each gRPC call, even of one that fails"
    for setting in texts:
        if setting.startswith("errors.statusrewrites.") and not _STATUS.fullmatch(setting.rpartition(".")[2]):
            yield setting, "of statuses such as 500-599"


def _compress(texts: Texts) -> Iterator[Refusal]:
    encodings = _list(texts.get("compress.encodings", "")) or _ENCODINGS
    if not set(encodings) <= set(_ENCODINGS):
        yield "compress.encodings", f"a list of {', '.join(_ENCODINGS)}"
    if texts.get("compress.defaultencoding", "") not in ("", *encodings):
        yield "compress.defaultencoding", f"one of {', '.join(encodings)}"
    types = "compress.excludedcontenttypes", "compress.includedcontenttypes"
    if all(texts.get(setting) for setting in types):
        yield types[0], "absent where there are includedcontenttypes"
    for setting in types:
        if not all(map(_MEDIA_TYPE.fullmatch, _list(texts.get(setting, "")))):
            yield setting, "a list of media types such as text/html"


def _headers(texts: Texts) -> Iterator[Refusal]:
    patterns = "headers.accesscontrolalloworiginlistregex"
    if any(map(is_refused, _list(texts.get(patterns, "")))):
        yield patterns, "a list of regular expressions"
    if not any(_does_something(setting, text) for setting, text in texts.items()):
        yield next(iter(texts)), "beside a setting that does something"


def _does_something(setting: str, text: str) -> bool:
    if setting.count(".") > 1 or setting in ("headers.stsseconds", "headers.accesscontrolmaxage"):
        return True
    return text != "" and is_true(text) is not False


def _is_predicate(text: str, functions: Mapping[str, tuple[str, type]]) -> bool:
    """Whether it is an expression of these functions, each with the types of its arguments and of what it gives, an
    integer where there is no point: https://github.com/vulcand/predicate
    """
    try:
        waiting: list[Expression] = [read_expression(text)]
    except NotReadable:
        return False
    while waiting:
        match waiting.pop():
            case And(parts) | Or(parts):
                waiting += parts
            case Call() as call if _gives(call, functions) is bool:
                continue
            case Comparison(call, _, _, literal) if _gives(call, functions) is _LITERALS.get(_literal(literal)):
                continue
            case _:
                return False
    return True


def _gives(call: Call, functions: Mapping[str, tuple[str, type]]) -> type | None:
    arguments, gives = functions.get(call.name, ("", None))
    said = "".join(map(_literal, call.arguments))
    return gives if said == arguments and call.has_numbers == bool(arguments) else None


def _literal(text: str) -> str:
    return "-" if text.startswith("-") else "i" if text.isdecimal() else "f"


_LITERALS: Mapping[str, type] = {"i": int, "f": float}


def _list(text: str) -> Sequence[str]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


_OK = 200
_STATUS = re.compile(r"[0-9]{1,9}(?:-[0-9]{1,9})?")
_ENCODINGS = ("gzip", "br", "zstd")
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# https://pkg.go.dev/mime#ParseMediaType
_MEDIA_TYPE = re.compile(rf'{_NAME}(?:/{_NAME})?(?:\s*;\s*{_NAME}=(?:{_NAME}|"[^"\\]*"))*\s*;?\s*')

_CHECKS: Mapping[str, Callable[[Texts], Iterator[Refusal]]] = {
    "retry": _retry,
    "inflightreq": _in_flight,
    "ratelimit": _rate_limit,
    "circuitbreaker": _breaker,
    "buffering": _buffering,
    "errors": _errors,
    "compress": _compress,
    "headers": _headers,
}
