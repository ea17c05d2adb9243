"""What a container asks for: its port, its routes and its policy, one to one with its labels."""

# ruff: noqa: RUF009 - the parts are immutable: one default serves all

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from grpc_lb_contract.document.model import Route
from grpc_lb_contract.labels.names import (
    ENABLE,
    GRPC_SERVICES,
    HOSTS,
    METADATA,
    METHODS,
    PORT,
    PRIORITY,
    ROUTE_NAME,
    ROUTE_NAME_RULE,
    SERVICE,
    WEIGHT,
    route_label,
)
from grpc_lb_contract.metadata_conditions import Condition, write_conditions
from grpc_lb_contract.named_fields import NamedFields
from grpc_lb_contract.names import (
    ALL,
    MAX_PORT,
    MAX_PRIORITY,
    MAX_WEIGHT,
    SERVICE_NAME,
    SERVICE_NAME_RULE,
    must_be_full_method,
    must_be_grpc_service,
    must_be_host,
    must_be_within,
    must_match,
)
from grpc_lb_contract.policy.overrides import NO_OVERRIDES, Overrides
from grpc_lb_contract.policy.traffic_policy import PREFIX, TrafficPolicy
from grpc_lb_contract.policy.value_types import MAX_LIST, whole

WEIGHT_KIND = whole(0, MAX_WEIGHT)
PRIORITY_KIND = whole(0, MAX_PRIORITY)

MAX_ROUTES = 64
"""Of one registration, its named routes included: one task's labels must not fill the document of a whole cluster."""


@dataclass(frozen=True, slots=True)
class RouteRule(NamedFields):
    """Further routes of a service, under a name of their own.

    None means as the service has it; `()` means none. gRPC services and methods go together: a rule that sets either
    inherits neither. Raises `ValueError` for a value that no label may have.
    """

    name: str
    """1 to 63 of a-z, 0-9 and -."""
    hosts: tuple[str, ...] | None = None
    """Which `:authority` values."""
    grpc_services: tuple[str, ...] | None = None
    """Which gRPC services, by their full names."""
    methods: tuple[str, ...] | None = None
    """Which single methods, such as `rng.v1.RandomNumber/Get`."""
    metadata: tuple[Condition, ...] | None = None
    """Conditions on the request metadata, all of which must hold."""
    priority: int | None = None
    """Which route of a host takes a call that several fit: the one with the highest, 0 to 1000000."""
    overrides: Overrides = Overrides()
    """What applies to its calls instead of the service's policy."""

    def __post_init__(self) -> None:
        must_match(ROUTE_NAME, "the name of a route", self.name, ROUTE_NAME_RULE)
        _check_and_sort(self)
        if not self.to_labels():
            raise ValueError(f"route {self.name} must say something that the registration does not, got nothing")

    def to_labels(self) -> dict[str, str]:
        """The labels that `read_labels` reads as this rule."""
        labels = {label: values for label, values in _texts(self).items() if values is not None}
        labels |= {PREFIX + setting: text for setting, text in self.overrides.to_settings().items()}
        return {route_label(self.name, label): text for label, text in labels.items()}


class CallSelection(NamedTuple):
    """Which calls: those of each host, to each gRPC service and each method."""

    hosts: tuple[str, ...]
    grpc_services: tuple[str, ...]
    methods: tuple[str, ...]
    metadata: tuple[Condition, ...]
    priority: int

    @property
    def size(self) -> int:
        """How many routes they are."""
        return len(self.hosts) * (len(self.grpc_services) + len(self.methods))

    def routes(self, overrides: Overrides) -> Iterator[Route]:
        called = [(grpc_service, ALL) for grpc_service in self.grpc_services]
        called += [(grpc_service, method) for grpc_service, _, method in (each.partition("/") for each in self.methods)]
        for host, (grpc_service, method) in product(self.hosts, called):
            yield Route(host, grpc_service, self.metadata, method, self.priority, overrides)

    def with_rule(self, rule: RouteRule) -> CallSelection:
        own = {name: getattr(rule, name) for name in ("hosts", "metadata", "priority")}
        if rule.grpc_services is not None or rule.methods is not None:
            own |= {"grpc_services": rule.grpc_services or (), "methods": rule.methods or ()}
        return self._replace(**{name: value for name, value in own.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Registration:
    """What a container asks for: the calls to `hosts` and `grpc_services` (each with each) come to its `port`.

    `methods` are full names (`rng.v1.RandomNumber/Get`) beside the gRPC services; where there are methods and the gRPC
    services are all, it is the methods alone. No host, or neither gRPC service nor method, means no route: the service
    is known by its name alone. `metadata` are conditions that a call must fit, all of them. `weight` is what its ECS
    service is weighed with, None where it is not. `rules` are further routes. Raises `ValueError` for a value that no
    label may hold.
    """

    service: str
    port: int
    hosts: tuple[str, ...] = (ALL,)
    grpc_services: tuple[str, ...] = (ALL,)
    metadata: tuple[Condition, ...] = ()
    weight: int | None = None
    policy: TrafficPolicy = TrafficPolicy()
    methods: tuple[str, ...] = ()
    priority: int = 0
    rules: tuple[RouteRule, ...] = ()

    def __post_init__(self) -> None:
        must_match(SERVICE_NAME, "service", self.service, SERVICE_NAME_RULE)
        must_be_within("port", self.port, 1, MAX_PORT)
        _check_and_sort(self)
        if self.methods and self.grpc_services == (ALL,):
            object.__setattr__(self, "grpc_services", ())
        if self.weight is not None:
            must_be_within("weight", self.weight, 0, MAX_WEIGHT)
        object.__setattr__(self, "rules", tuple(sorted(self.rules, key=lambda rule: rule.name)))
        if len({rule.name for rule in self.rules}) != len(self.rules):
            raise ValueError(f"rules must have names of their own, got {', '.join(rule.name for rule in self.rules)}")
        routes = sum(calls.size for calls in (self.calls, *map(self.calls_of, self.rules)))
        if routes > MAX_ROUTES:
            raise ValueError(
                f"hosts times grpc-services must be at most {MAX_ROUTES}, with methods and rules, got {routes}"
            )
        for rule in self.rules:
            for refusal in rule.overrides.over(self.policy)[1]:
                raise ValueError(f"{route_label(rule.name, refusal.label)} {refusal.problem}")

    @property
    def calls(self) -> CallSelection:
        """Those of its own routes."""
        return CallSelection(self.hosts, self.grpc_services, self.methods, self.metadata, self.priority)

    def calls_of(self, rule: RouteRule) -> CallSelection:
        """Those of a rule's routes."""
        return self.calls.with_rule(rule)

    @property
    def routes(self) -> tuple[Route, ...]:
        """Of routes for the very same calls the one with the highest priority; of those a rule's, the first by name."""
        found = [route for rule in self.rules for route in self.calls_of(rule).routes(rule.overrides)]
        found += self.calls.routes(NO_OVERRIDES)
        found.sort(key=lambda route: -route.priority)
        return tuple(sorted({route.match: route for route in reversed(found)}.values()))

    @property
    def max_list(self) -> str:
        """The label that makes the most of the routes."""
        lists = {label: values for label, values in self.to_labels().items() if label.endswith(_LISTS)}
        return max(lists, key=lambda label: lists[label].count(","), default=GRPC_SERVICES)

    def to_labels(self) -> dict[str, str]:
        """The labels that `read_labels` reads as this registration."""
        labels = {ENABLE: "true", SERVICE: self.service, PORT: str(self.port)}
        left_out = {HOSTS: ALL, GRPC_SERVICES: "" if self.methods else ALL, METHODS: "", METADATA: "", PRIORITY: "0"}
        labels |= {label: text for label, text in _texts(self).items() if text is not None and text != left_out[label]}
        if self.weight is not None:
            labels[WEIGHT] = str(self.weight)
        labels |= self.policy.to_labels()
        return labels | {label: text for rule in self.rules for label, text in rule.to_labels().items()}


_LISTS = tuple(label.removeprefix(PREFIX) for label in (HOSTS, GRPC_SERVICES, METHODS))


def _texts(said: RouteRule | Registration) -> dict[str, str | None]:
    """By the label without a route's name; None for what a rule leaves to the registration."""
    return {
        HOSTS: _list(said.hosts),
        GRPC_SERVICES: _list(said.grpc_services),
        METHODS: _list(said.methods),
        METADATA: None if said.metadata is None else write_conditions(said.metadata),
        PRIORITY: None if said.priority is None else str(said.priority),
    }


def _list(values: tuple[str, ...] | None) -> str | None:
    return None if values is None else ",".join(values)


def _check_and_sort(said: RouteRule | Registration) -> None:
    for name in ("hosts", "grpc_services", "methods", "metadata"):
        if isinstance(getattr(said, name), str):  # whose letters might pass for names
            raise ValueError(f"{name} must be a tuple, got {getattr(said, name)!r}")  # noqa: TRY004 - as every other
    for host in said.hosts or ():
        must_be_host("each of hosts", host)
    for grpc_service in said.grpc_services or ():
        must_be_grpc_service("each of grpc-services", grpc_service)
    for method in said.methods or ():
        must_be_full_method("each of methods", method)
    conditions = write_conditions(said.metadata or ())
    if len(conditions) > MAX_LIST:
        raise ValueError(f"metadata must be at most {MAX_LIST} characters in all, got {len(conditions)}")
    if said.priority is not None:
        must_be_within("priority", said.priority, 0, MAX_PRIORITY)
    for name in ("hosts", "grpc_services", "methods", "metadata"):
        values = getattr(said, name)
        if values is not None:
            object.__setattr__(said, name, tuple(sorted(set(values))))
