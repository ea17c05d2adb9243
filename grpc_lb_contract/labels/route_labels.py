"""Named routes by their labels, `grpc-lb.routes.NAME.…`: a bad label takes out no more than the route of its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from grpc_lb_contract.labels.call_selection import Refuse, read_asked
from grpc_lb_contract.labels.names import GRPC_SERVICES, HOSTS, METHODS, ROUTES, route_label, route_name
from grpc_lb_contract.labels.registration import MAX_ROUTES, CallSelection, RouteRule
from grpc_lb_contract.policy.overrides import NO_OVERRIDES, OVERRIDES, Overrides
from grpc_lb_contract.policy.traffic_policy import PREFIX, TrafficPolicy


def read_rules(
    labels: Mapping[str, str],
    refuse: Refuse,
    calls: CallSelection,
    policy: TrafficPolicy,
    *,
    stand_alone: bool,
    may_inherit_metadata: bool,
    left_out: Set[str] = frozenset(),
) -> Iterator[RouteRule]:
    """The rules beside a container's own `calls`, of which there are as many as there is room for.

    Those `left_out` are not there, whatever their labels say. `stand_alone` rules take the hosts of `calls` along: the
    container's own routes are not there.
    """
    room = MAX_ROUTES - (0 if stand_alone else calls.size)
    for name, own in _by_route(labels):

        def refuse_here(label: str, problem: str, name: str = name) -> None:
            refuse(route_label(name, label), problem)

        asked = read_asked(own, refuse_here, named=True)
        overrides = _read_overrides(own, refuse_here, policy)
        if name in left_out or asked.bad_labels or (asked.metadata is None and not may_inherit_metadata):
            continue
        hosts = calls.hosts if stand_alone and asked.hosts is None else asked.hosts
        said = (hosts, asked.grpc_services, asked.methods, asked.metadata, asked.priority)
        if said == (None,) * len(said) and overrides == NO_OVERRIDES:
            continue
        rule = RouteRule(name, *said, overrides)
        size = calls.with_rule(rule).size
        if size > room:
            refuse_here(
                _longest_list(own),
                f"must leave hosts times grpc-services and methods of all routes at most {MAX_ROUTES} "
                "(the route is not there now)",
            )
            continue
        room -= size
        yield rule


def _by_route(labels: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
    by_name: dict[str, dict[str, str]] = {}
    for label, text in labels.items():
        name = route_name(label)
        if name is not None:
            by_name.setdefault(name, {})[PREFIX + label.removeprefix(f"{ROUTES}{name}.")] = text
    return sorted(by_name.items())


def _longest_list(own: Mapping[str, str]) -> str:
    lists = [label for label in (HOSTS, GRPC_SERVICES, METHODS) if label in own]
    return max(lists, key=lambda label: own[label].count(","), default=min(own))


def _read_overrides(own: Mapping[str, str], refuse: Refuse, policy: TrafficPolicy) -> Overrides:
    settings = {label.removeprefix(PREFIX): text for label, text in own.items()}
    overrides, refusals = Overrides.from_settings(settings)
    rejected = {refusal.label for refusal in refusals}
    for row in OVERRIDES:
        is_read = row.setting.label in settings and row.label not in rejected
        if is_read and row.value_in(overrides) == row.default != row.value_in(policy):
            refuse(row.label, "must differ from the default, which for a route means as its service has it")
    _, conflicts = overrides.over(policy)
    for refusal in (*refusals, *conflicts):
        refuse(refusal.label, refusal.problem)
        settings.pop(refusal.label.removeprefix(PREFIX), None)
    return Overrides.from_settings(settings)[0] if conflicts else overrides
