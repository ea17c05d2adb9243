"""All calls that a rule may take, where it is too large to be taken apart."""

from __future__ import annotations

from traefik_labels.grammar.syntax import And, Call, Expression, Or
from traefik_labels.rules.calls import EVERY, Calls

_UNSAID = frozenset({"too large"})


def reach_by_host(expression: Expression) -> tuple[Calls, ...]:
    """By the hosts that it must have, and whatever else it asks: more than it takes, and never less."""
    hosts = _hosts(expression)
    if hosts is None:
        return tuple(Calls(unsaid=_UNSAID) for _ in EVERY)
    return tuple(Calls(host=host, unsaid=_UNSAID) for host in sorted(hosts))


def _hosts(expression: Expression) -> frozenset[str] | None:
    """None for any. Each part once and none before its own parts, so that no depth is a depth of Python calls."""
    order: list[Expression] = []
    waiting: list[Expression] = [expression]
    while waiting:
        one = waiting.pop()
        order.append(one)
        waiting += one.all if isinstance(one, And) else one.any if isinstance(one, Or) else ()
    found: dict[int, frozenset[str] | None] = {}
    for one in reversed(order):
        if isinstance(one, And):
            known = [hosts for part in one.all if (hosts := found[id(part)]) is not None]
            found[id(one)] = min(known, key=len, default=None)
        elif isinstance(one, Or):
            parts = [found[id(part)] for part in one.any]
            found[id(one)] = None if None in parts else frozenset[str]().union(*(part for part in parts if part))
        else:
            found[id(one)] = _hosts_of_call(one) if isinstance(one, Call) else None
    return found[id(expression)]


def _hosts_of_call(call: Call) -> frozenset[str] | None:
    if call.name.lower() not in ("host", "hostheader") or any("*" in host for host in call.arguments):
        return None
    return frozenset(host.lower().removesuffix(".") for host in call.arguments)
