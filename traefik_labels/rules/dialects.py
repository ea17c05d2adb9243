"""Which matchers each version's syntax has: a rule with another is one that Traefik does not take."""

from __future__ import annotations

import re
from collections.abc import Mapping

from traefik_labels.grammar.parsing import read_expression
from traefik_labels.grammar.syntax import And, Call, Comparison, Expression, Not, NotReadable, Or

# How many arguments each has; 0 is any number but none.
_V3: Mapping[str, tuple[int, ...]] = {
    "ClientIP": (1,),
    "Method": (1,),
    "Host": (1,),
    "HostRegexp": (1,),
    "Path": (1,),
    "PathRegexp": (1,),
    "PathPrefix": (1,),
    "Header": (2,),
    "HeaderRegexp": (2,),
    "Query": (1, 2),
    "QueryRegexp": (1, 2),
}
_V2: Mapping[str, tuple[int, ...]] = {
    name: (2,) if name.startswith("Headers") else (0,)
    for name in ("Host", "HostHeader", "HostRegexp", "ClientIP", "Path", "PathPrefix", "Method", "Query")
} | {"Headers": (2,), "HeadersRegexp": (2,)}


def _spellings(matchers: Mapping[str, tuple[int, ...]]) -> Mapping[str, tuple[int, ...]]:
    """Case makes a difference, but for four ways to write each."""
    return {
        spelling: numbers
        for name, numbers in matchers.items()
        for spelling in (name, name.lower(), name.upper(), name.lower().capitalize())
    }


_TEMPLATE = re.compile(r"HostRegexp\([^)]*\{[A-Za-z0-9_]*:", re.IGNORECASE)
_DIALECTS = {3: _spellings(_V3), 2: _spellings(_V2)}


def read_rule(text: str, syntax: int | None) -> tuple[Expression, int]:
    """A rule in version 2's or 3's syntax, or, for None, in version 3's and else in version 2's; and which it was.

    Raises NotReadable.
    """
    expression = read_expression(text)
    if syntax is not None:
        _check(expression, syntax)
        return expression, syntax
    try:
        _check(expression, 3)
        # It is a regular expression to version 3 too, which no host fits.
        is_v3 = _TEMPLATE.search(text) is None
    except NotReadable as error:
        try:
            _check(expression, 2)
        except NotReadable:
            raise error from None
        return expression, 2
    return expression, 3 if is_v3 else 2


def _check(expression: Expression, syntax: int) -> None:
    waiting = [expression]
    while waiting:
        match waiting.pop():
            case Not(what):
                waiting.append(what)
            case And(parts) | Or(parts):
                waiting += parts
            case Comparison() as comparison:
                raise NotReadable(f"a rule without comparisons; {comparison} is one")
            case Call() as call:
                _check_call(call, syntax)


def _check_call(call: Call, syntax: int) -> None:
    numbers = _DIALECTS[syntax].get(call.name)
    if numbers is None:
        known = ", ".join(_V3 if syntax == 3 else _V2)
        raise NotReadable(f"a rule of matchers that Traefik {syntax} has ({known}); {call.name} is none")
    if not call.arguments or not all(call.arguments):
        raise NotReadable(f"a rule whose matchers say something; {call} does not")
    if call.has_numbers:
        raise NotReadable(f"a rule whose matchers have texts, in backticks; {call.name} has a number")
    if numbers != (0,) and len(call.arguments) not in numbers:
        wanted = " or ".join(map(str, numbers))
        raise NotReadable(f"a rule whose {call.name} has {wanted} of texts in Traefik {syntax}, got {call}")
    if call.name.lower().startswith("host") and not all(map(str.isascii, call.arguments)):
        raise NotReadable(f"a rule whose hosts are ASCII; {call} is not")
