"""Which router takes a call: Traefik's order said in ours.

Traefik asks all routers by their priority, which is the length of the rule where none is given, whatever the host. Here
the host decides first, and then the priority. So a router that comes before one of a more specific host gets routes at
that host too; and what comes before and cannot be said at all, or is left out, takes its calls from those behind it:
they are left out too, for they would come through unchecked, or to another service.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from grpc_lb_contract import Condition, Match
from grpc_lb_contract.labels.registration import MAX_ROUTES
from grpc_lb_contract.names import ALL, MAX_PRIORITY, less_specific_hosts
from traefik_labels.cluster.parts import Router
from traefik_labels.rules.calls import Calls

MAX_ADDED = MAX_ROUTES // 2
"""Alternatives of a router, with those at more specific hosts."""


def settle(routers: Sequence[Router]) -> None:
    """Take away what must not be served, add routes at more specific hosts, and set the priorities that are needed."""
    there = [router for router in routers if not router.is_apart]
    _leave_out_behind(there)
    while _add_at_specific_hosts(there):
        # What was left out for want of routes must come through no other router either.
        _leave_out_behind(there)
    served = [router for router in there if not router.is_kept_out and router.calls]
    _leave_out_covered(served)
    _set_priorities(served)


def _leave_out_behind(routers: Sequence[Router]) -> None:
    """What is left out of one router is left out of those behind it in turn, so the first come first."""
    shields = _Hosts((router, calls) for router in routers for calls in _unserved(router))
    waiting = sorted((one for one in routers if not one.is_kept_out), key=lambda router: -router.priority)
    while waiting:
        again = False
        for router in waiting:
            for calls in router.calls:
                before = _before(router, calls, shields)
                if before is None:
                    continue
                why = "is left out" if before.is_kept_out else "is served in part"
                router.leave_out(
                    calls,
                    f"Traefik asks the router {before.name} first, which {why}: its calls would come through this one",
                )
                shields.add(router, calls)
                again = True
        if not again:
            return


def _before(router: Router, calls: Calls, shields: _Hosts) -> Router | None:
    """A router that is asked before this one, and has calls of these that it does not serve."""
    for other, reach in shields.near(calls.host):
        if other.priority >= router.priority and _takes_from(other, router) and _meet(calls, reach):
            return other
    return None


def _unserved(router: Router) -> Iterator[Calls]:
    yield from (calls for calls in router.reach if router.is_kept_out or calls.unsaid or calls not in router.calls)


def _takes_from(before: Router, router: Router) -> bool:
    """Whether calls of `before` must not come through `router`."""
    if before is router:
        return False
    return before.service != router.service or (before.is_kept_out and before.checks)


def _leave_out_covered(served: Sequence[Router]) -> None:
    """Calls that another router takes before, all of them: Traefik never sends one here.

    Not those of a narrower host: at a host of its own a service without routes would lose them to others.
    """
    known = _Hosts((router, calls) for router in served for calls in router.calls)
    for router in served:
        for calls in router.calls:
            for other, others in known.near(calls.host):
                if (
                    other.priority > router.priority
                    and other.service != router.service
                    and others in other.calls
                    and _covers(others, calls)
                ):
                    router.calls = tuple(one for one in router.calls if one != calls)
                    router.draft.differs(router.label, f"Traefik asks the router {other.name} first for all its calls")
                    break


def _add_at_specific_hosts(routers: Sequence[Router]) -> bool:
    """Whether something had to be left out for it."""
    served = [router for router in routers if not router.is_kept_out]
    waiting = [(router, calls) for router in served for calls in router.calls]
    known = _Hosts(waiting)
    left_out = False
    while waiting:
        router, calls = waiting.pop()
        for other, others in list(known.near(calls.host)):
            if calls not in router.calls or others not in other.calls or other.service == router.service:
                continue
            if not _meet(calls, others):
                continue
            before, its, behind, theirs = (
                (router, calls, other, others) if router.priority > other.priority else (other, others, router, calls)
            )
            if before.priority == behind.priority or not _is_below(theirs.host, its.host):
                continue
            added = replace(its, host=theirs.host)
            if added in before.calls:
                continue
            if len(before.calls) >= MAX_ADDED:
                why = (
                    f"Traefik asks the router {before.name} first, also at more specific hosts, which would take more "
                    f"than the {MAX_ADDED} routes it can have: give it fewer hosts, or this router a higher priority"
                )
                behind.leave_out(theirs, why)
                left_out = True
                continue
            before.calls = (*before.calls, added)
            known.add(before, added)
            waiting.append((before, added))
    return left_out


def _set_priorities(served: Sequence[Router]) -> None:
    """Only where they tell: a route without one has 0, and most clusters need none."""
    known = _Hosts((router, calls) for router in served for calls in router.calls)
    contested: dict[Router, None] = {}
    for router in served:
        for calls in router.calls:
            for other, others in known.near(calls.host):
                if other.service != router.service and _meet(calls, others):
                    contested[router] = contested[other] = None
                    if other.priority == router.priority:
                        router.draft.differs(
                            router.label,
                            f"the router {other.name} of another service has the same priority, {router.priority}: "
                            "Traefik asks either first, by chance; give one a higher priority",
                        )
    numbers = sorted({router.priority for router in contested})
    fit = not numbers or (numbers[0] >= 0 and numbers[-1] <= MAX_PRIORITY)
    for router in served:
        if router in contested:
            router.written_priority = str(router.priority if fit else 1 + numbers.index(router.priority))
        elif router.said_priority and 0 < router.priority <= MAX_PRIORITY:
            router.written_priority = str(router.priority)
        elif router.said_priority and router.priority:
            router.draft.not_needed(router.priority_label, "no other router's rule takes the same calls")


class _Hosts:
    """Routers and their calls by host, so that only those are compared whose hosts have calls in common."""

    def __init__(self, found: Iterator[tuple[Router, Calls]] | Sequence[tuple[Router, Calls]] = ()) -> None:
        self._exact: defaultdict[str, list[tuple[Router, Calls]]] = defaultdict(list)
        self._below: defaultdict[str, list[tuple[Router, Calls]]] = defaultdict(list)
        for router, calls in found:
            self.add(router, calls)

    def add(self, router: Router, calls: Calls) -> None:
        self._exact[calls.host].append((router, calls))
        for wider in less_specific_hosts(calls.host):
            self._below[wider].append((router, calls))

    def near(self, host: str) -> Iterator[tuple[Router, Calls]]:
        """Those of this host, of wider ones, and, for a pattern, of those that it stands for."""
        yield from self._exact.get(host, ())
        for wider in less_specific_hosts(host):
            yield from self._exact.get(wider, ())
        yield from self._below.get(host, ())


def _is_below(host: str, pattern: str) -> bool:
    return pattern in less_specific_hosts(host)


def _covers(wide: Calls, narrow: Calls) -> bool:
    """Whether every call of the one is of the other."""
    return (
        (wide.host == narrow.host or _is_below(narrow.host, wide.host))
        and wide.grpc_service in (ALL, narrow.grpc_service)
        and wide.method in (ALL, narrow.method)
        and wide.metadata <= narrow.metadata
    )


def _meet(one: Calls, other: Calls) -> bool:
    """Whether a call may be in both."""
    both = one.and_(other)
    return both is not None and not _excludes_itself(both)


def _excludes_itself(calls: Calls) -> bool:
    return any(_exclude(a, b) for a, b in combinations(sorted(calls.metadata), 2))


def _exclude(one: Condition, other: Condition) -> bool:
    if one.key != other.key:
        return False
    if one.match is other.match is Match.EXACT:
        return one.value != other.value
    return {one.match, other.match} == {Match.EXACT, Match.NOT_EXACT} and one.value == other.value
