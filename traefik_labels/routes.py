"""The routers (or frontends) of a container as routes of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from grpc_lb_contract import service_name_from
from grpc_lb_contract.labels.names import GRPC_SERVICES, HOSTS, METADATA, METHODS, PRIORITY, route_label
from grpc_lb_contract.labels.registration import MAX_ROUTES
from grpc_lb_contract.metadata_conditions import write_conditions
from grpc_lb_contract.names import ALL
from grpc_lb_contract.policy.value_types import MAX_LIST
from traefik_labels.cluster.parts import Router
from traefik_labels.grammar.parsing import read_first_rule
from traefik_labels.grammar.syntax import And, Expression, NotReadable, TooMuch
from traefik_labels.model import Draft
from traefik_labels.rules.calls import Block, Calls, TooManyCases, blocks_of
from traefik_labels.rules.matchers import Rule
from traefik_labels.rules.reach import reach_by_host
from traefik_labels.settings import TraefikLabels


def entry_points_of(text: str) -> frozenset[str]:
    """In lower case. An empty name in a list is that of an entry point which no Traefik has."""
    return frozenset(one.strip().lower() for one in text.split(",")) if text else frozenset()


def keep_out_by_entry_point(router: Router, label: str, settings: TraefikLabels) -> None:
    """A router that names its entry points may be for other callers than the balancer's."""
    if not router.entry_points:
        return
    known = {name.lower() for name in settings.entry_points}
    if known & router.entry_points:
        router.draft.not_needed(label, "callers of the balancer came by one of them (entry_points)")
        return
    if known:
        router.is_apart = True
        why = f"callers of the balancer came by {', '.join(sorted(known))} (entry_points): the router is for others"
    else:
        why = (
            "the router may be for other callers than the balancer's: it is left out; name the entry points by which "
            "those came in TraefikLabels(entry_points=[...])"
        )
    router.keep_out()
    router.draft.leave_out(label, why)


def read_calls(router: Router, read: Callable[[str], tuple[Expression, int]], *, tells: bool = True) -> bool:
    """Take a router's rule apart; False where Traefik does not take the rule. Remarks say what cannot be served, where
    the router `tells`.
    """
    draft, label = router.draft, router.label
    try:
        expression, syntax = read(router.rule)
    except NotReadable as error:
        draft.reject(label, f"must be {error}")
        return False
    rule = Rule(is_v3=syntax == 3)

    def whole() -> tuple[Calls, ...]:
        return reach_by_host(expression)

    return _take_apart(router, rule, lambda: rule.of_expression(expression), whole, tells=tells)


def read_first_calls(router: Router, *, tells: bool) -> bool:
    """As `read_calls`, for a rule of version 1."""
    rule = Rule()
    try:
        calls = read_first_rule(router.rule)
    except NotReadable as error:
        router.draft.reject(router.label, f"must be {error}")
        return False

    def whole() -> tuple[Calls, ...]:
        return reach_by_host(And(calls))

    return _take_apart(router, rule, lambda: rule.of_first_rule(calls), whole, tells=tells)


def _take_apart(
    router: Router,
    rule: Rule,
    read: Callable[[], tuple[Calls, ...]],
    whole: Callable[[], tuple[Calls, ...]],
    *,
    tells: bool,
) -> bool:
    draft, label = router.draft, router.label
    try:
        sets = read()
    except (TooManyCases, TooMuch) as error:
        draft.reject(label, f"must be {error}")
        router.reach = whole()
        return True
    except NotReadable as error:
        draft.reject(label, f"must be {error}")
        return False
    sets = tuple(replace(calls, unsaid=_LONG) if _is_long(calls) else calls for calls in sets)
    router.calls = tuple(calls for calls in sets if not calls.unsaid)
    router.reach = sets
    if rule.narrower:
        router.reach = tuple(replace(calls, grpc_service=ALL, method=ALL, unsaid=_IN_PART) for calls in sets)
    if tells:
        _tell(router, sets, rule)
    return True


_IN_PART = frozenset({"in part"})
_LONG = frozenset({f"its headers are more than {MAX_LIST} characters"})


def _is_long(calls: Calls) -> bool:
    return not calls.unsaid and len(write_conditions(sorted(calls.metadata))) > MAX_LIST


def _tell(router: Router, sets: Sequence[Calls], rule: Rule) -> None:
    draft, label = router.draft, router.label
    for calls in sets:
        if calls.unsaid:
            of = "" if all(one.unsaid for one in sets) else " (the other alternatives of the rule stay)"
            draft.leave_out(label, f"{'; '.join(sorted(calls.unsaid))}{of}")
    for why in rule.narrower:
        draft.differs(label, why)
    if not sets:
        draft.leave_out(label, f"no call of gRPC fits {router.rule}: each is a POST to /package.Service/Method")


def put_routes(draft: Draft, routers: Sequence[Router]) -> bool:
    """Put the labels of these routers; False where no route is left, or where they are more than a service may have."""
    blocks = [(router, block) for router in routers for block in blocks_of(router.calls)]
    number = sum(block.routes for _, block in blocks)
    if number > MAX_ROUTES:
        for label in dict.fromkeys(router.label for router in routers):
            draft.reject(label, f"must leave the container at most {MAX_ROUTES} routes, got {number}")
        return False
    names: set[str] = set()
    main: dict[str, str] | None = None
    for router, block in blocks:
        texts = _texts(block, router.written_priority)
        if main is None:
            main = texts
            unsaid = {HOSTS: ALL, GRPC_SERVICES: "" if block.methods else ALL, METHODS: "", METADATA: "", PRIORITY: "0"}
            _put(draft, router, {label: text for label, text in texts.items() if text != unsaid[label]})
        else:
            _put(draft, router, _beside(texts, main), _name(router.name, names))
    return main is not None


def _texts(block: Block, priority: str) -> dict[str, str]:
    return {
        HOSTS: ",".join(block.hosts),
        GRPC_SERVICES: ",".join(block.grpc_services),
        METHODS: ",".join(block.methods),
        METADATA: write_conditions(sorted(block.metadata)),
        PRIORITY: priority or "0",
    }


def _beside(texts: Mapping[str, str], main: Mapping[str, str]) -> dict[str, str]:
    """What a further set of routes must say: it has what the first has where it says nothing, gRPC services and methods
    going together.
    """
    said = {label: text for label, text in texts.items() if text != main[label]}
    if GRPC_SERVICES in said or METHODS in said:
        said |= {label: texts[label] for label in (GRPC_SERVICES, METHODS) if texts[label]}
        said = {label: text for label, text in said.items() if text or label not in (GRPC_SERVICES, METHODS)}
    # What says nothing else would be no route of its own.
    return said or {HOSTS: texts[HOSTS]}


def _put(draft: Draft, router: Router, labels: Mapping[str, str], name: str | None = None) -> None:
    for label, text in labels.items():
        origin = router.priority_label if label == PRIORITY and router.priority_label else router.label
        draft.put(label if name is None else route_label(name, label), text, origin)


def _name(router: str, taken: set[str]) -> str:
    base = service_name_from(router)[:60].strip("-") or "route"
    names = (base, *(f"{base}-{number}" for number in range(2, MAX_ROUTES + 1)))
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name
