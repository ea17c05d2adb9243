"""The routers (or frontends) of a container as routes of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grpc_lb_contract import service_name_from
from grpc_lb_contract.conditions import write_conditions
from grpc_lb_contract.labels.names import GRPC_SERVICES, HOSTS, METADATA, METHODS, PRIORITY, route_label
from grpc_lb_contract.labels.registration import MOST_ROUTES
from grpc_lb_contract.policy.value_types import LONGEST_LIST
from traefik_labels.calls import ALL, Block, Calls, TooManyCases, blocks_of
from traefik_labels.matchers import Rule
from traefik_labels.model import Draft
from traefik_labels.parsing import read_expression, read_first_rule
from traefik_labels.syntax import NotReadable


@dataclass(frozen=True, slots=True)
class Router:
    """What a router takes. `label` holds its rule (or would, where the rule is the default one), `priority_label` its
    priority, "" for none. `entry_points` are none where it does not say them, and has all; `is_elsewhere` says
    that its calls go to another container.
    """

    name: str
    label: str
    calls: tuple[Calls, ...]
    priority: str = ""
    priority_label: str = ""
    rule: str = ""
    entry_points: frozenset[str] = frozenset()
    is_elsewhere: bool = False


def entry_points_of(text: str) -> frozenset[str]:
    return frozenset(name for one in text.split(",") if (name := one.strip().lower()))


def calls_of(draft: Draft, label: str, text: str, *, first: bool) -> tuple[Calls, ...]:
    """The calls that a rule takes and routes can tell; remarks name the rest. `first` is for rules of version 1."""
    rule = Rule()
    try:
        sets = rule.of_first_rule(read_first_rule(text)) if first else rule.of_expression(read_expression(text))
    except (NotReadable, TooManyCases) as error:
        draft.refuse(label, f"must be {error}")
        return ()
    for calls in sets:
        if calls.unsaid:
            of = "" if all(one.unsaid for one in sets) else " (the other alternatives of the rule stay)"
            draft.leave_out(label, f"{'; '.join(sorted(calls.unsaid))}{of}")
    for why in rule.narrower:
        draft.differs(label, why)
    if not sets:
        draft.leave_out(label, f"no call of gRPC fits {text}: each is a POST to /package.Service/Method")
    return tuple(calls for calls in sets if not calls.unsaid)


def put_routes(draft: Draft, routers: Sequence[Router]) -> bool:
    """Put the labels of these routers; False where no route is left, or where they are more than a service may have."""
    blocks = [(router, block) for router in routers for block in blocks_of(router.calls)]
    number = sum(block.routes for _, block in blocks)
    if number > MOST_ROUTES:
        for label in dict.fromkeys(router.label for router in routers):
            draft.refuse(label, f"must leave the container at most {MOST_ROUTES} routes, got {number}")
        return False
    names: set[str] = set()
    main: dict[str, str] | None = None
    for router, block in blocks:
        texts = _texts(block, router.priority)
        if len(texts[METADATA]) > LONGEST_LIST:
            draft.leave_out(router.label, f"its headers are more than {LONGEST_LIST} characters: {texts[METADATA]}")
        elif main is None:
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
    names = (base, *(f"{base}-{number}" for number in range(2, MOST_ROUTES + 1)))
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name
