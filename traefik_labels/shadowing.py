"""Routers that are left out and that Traefik asks before others: no other is to take their calls in their place.

A router with `basicauth` for one gRPC service stands beside one without for the rest of the host. Left out alone, the
calls that it checks would come through the other one, unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from grpc_lb_contract import Condition, Match
from traefik_labels.calls import ALL, EVERY, NONE, Calls, TooManyCases
from traefik_labels.matchers import Rule
from traefik_labels.model import Draft
from traefik_labels.parsing import read_expression, read_first_rule
from traefik_labels.routes import Router
from traefik_labels.syntax import NotReadable

MOST_PAIRS = 50_000
"""Of alternatives to compare. Where labels have more, a rival is taken to reach all calls."""


def without_calls_of(rivals: Sequence[Router], routers: Sequence[Router], draft: Draft, *, first: bool) -> list[Router]:
    """The routers, less the alternatives of their rules that a rival comes before. `first` is for version 1."""
    reaches = [(rival, _reach(rival.rule, first=first)) for rival in rivals]
    pairs = sum(len(router.calls) for router in routers) * sum(len(reach) for _, reach in reaches)
    if pairs > MOST_PAIRS:
        reaches = [(rival, EVERY) for rival, _ in reaches]

    def kept(router: Router) -> Router:
        before = [(rival, reach) for rival, reach in reaches if _comes_before(rival, router)]
        found: dict[Calls, Router] = {}
        for calls in router.calls:
            rival = next((rival for rival, reach in before if any(_meet(calls, one) for one in reach)), None)
            if rival is not None:
                found[calls] = rival
        left = tuple(calls for calls in router.calls if calls not in found)
        for name in dict.fromkeys(rival.name for rival in found.values()):
            stay = " (the other alternatives of the rule stay)" if left else ""
            draft.leave_out(
                router.label,
                f"Traefik asks the router {name} first, which is left out: its calls would come through this one{stay}",
            )
        return replace(router, calls=left)

    return [kept(router) for router in routers]


def _comes_before(rival: Router, router: Router) -> bool:
    """Where neither says its entry points they are all; of equal priorities either may come first."""
    apart = rival.entry_points and router.entry_points and rival.entry_points.isdisjoint(router.entry_points)
    return not apart and _priority(rival) >= _priority(router)


def _priority(router: Router) -> int:
    """As Traefik has it: https://doc.traefik.io/traefik/v3.6/routing/routers/#priority"""
    said = int(router.priority) if re.fullmatch(r"[+-]?[0-9]{1,19}", router.priority) else 0
    return said or len(router.rule.encode(errors="surrogatepass"))


def _reach(text: str, *, first: bool) -> tuple[Calls, ...]:
    """The calls that a rule takes and maybe more, where `Rule` has none that it does not take."""
    rule = Rule()
    try:
        sets = rule.of_first_rule(read_first_rule(text)) if first else rule.of_expression(read_expression(text))
    except NotReadable:
        return NONE  # Traefik does not take it either
    except TooManyCases:
        return EVERY
    return tuple(replace(calls, grpc_service=ALL, method=ALL) for calls in sets) if rule.narrower else sets


def _meet(one: Calls, other: Calls) -> bool:
    """Whether a call may be in both."""
    both = one.and_(other)
    return both is not None and not any(_exclude(a, b) for a in one.metadata for b in other.metadata)


def _exclude(one: Condition, other: Condition) -> bool:
    if one.key != other.key:
        return False
    if one.match is other.match is Match.EXACT:
        return one.value != other.value
    return {one.match, other.match} == {Match.EXACT, Match.NOT_EXACT} and one.value == other.value
