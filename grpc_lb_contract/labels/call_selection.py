"""Which calls a container, or one of its named routes, asks for by its labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace

from grpc_lb_contract.labels.names import GRPC_SERVICES, HOSTS, METADATA, METHODS, PRIORITY, route_name
from grpc_lb_contract.labels.registration import PRIORITY_KIND
from grpc_lb_contract.metadata_conditions import CONDITIONS_RULE, Condition, read_conditions
from grpc_lb_contract.names import (
    ALL,
    GRPC_SERVICE_RULE,
    HOST_RULE,
    METHOD_RULE,
    is_full_method,
    is_grpc_service,
    is_host,
)

Refuse = Callable[[str, str], None]

NO_ROUTE = "the service has no route now"
NO_NAMED_ROUTE = "the route is not there now"


@dataclass(frozen=True, slots=True)
class Asked:
    """None for what no label says. A value of `bad_labels` cannot be told, and no guess may widen what is asked for."""

    hosts: tuple[str, ...] | None
    grpc_services: tuple[str, ...] | None
    methods: tuple[str, ...] | None
    metadata: tuple[Condition, ...] | None
    priority: int | None
    bad_labels: frozenset[str]

    def without(self, misspelt: Set[str]) -> Asked:
        """As if these labels were there and held nothing that can be read."""

        def read(label: str, values: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return () if label in misspelt else values

        return replace(
            self,
            hosts=read(HOSTS, self.hosts),
            grpc_services=read(GRPC_SERVICES, self.grpc_services),
            methods=read(METHODS, self.methods),
            bad_labels=self.bad_labels | (misspelt & {METADATA}),
        )


def no_route(label: str) -> str:
    """What comes of a label that cannot be read."""
    return NO_ROUTE if route_name(label) is None else NO_NAMED_ROUTE


def read_asked(labels: Mapping[str, str], refuse: Refuse, *, named: bool) -> Asked:
    """`labels` and `refuse` have no route's name, also where they are those of a named route.

    There a list other than that of the hosts may be empty, which is none of the container's own.
    """
    consequence = NO_NAMED_ROUTE if named else NO_ROUTE

    def entries(
        label: str, allowed: Callable[[str], bool], rule: str, normalised: Callable[[str], str] = str
    ) -> tuple[str, ...] | None:
        if label not in labels:
            return None
        text = labels[label].strip()
        is_none = not text and named and label != HOSTS
        values = [] if is_none else [normalised(value.strip()) for value in text.split(",")]
        for value in values:
            if not allowed(value):
                refuse(label, f"must be a comma-separated list, each {rule}; {value!r} is not")
        return tuple(dict.fromkeys(value for value in values if allowed(value)))

    bad = set[str]()
    hosts = entries(HOSTS, is_host, HOST_RULE, str.lower)
    grpc_services = entries(GRPC_SERVICES, is_grpc_service, GRPC_SERVICE_RULE)
    methods = entries(METHODS, is_full_method, METHOD_RULE)
    if methods and grpc_services == (ALL,):
        refuse(METHODS, f"cannot be combined with {GRPC_SERVICES} of {ALL}, which has every method")
        methods = None
    metadata = None
    if METADATA in labels:
        metadata = () if named and not labels[METADATA].strip() else read_conditions(labels[METADATA])
        if metadata is None:
            refuse(METADATA, f"must be {CONDITIONS_RULE} ({consequence})")
            bad.add(METADATA)
    priority = PRIORITY_KIND.read(labels[PRIORITY].strip()) if PRIORITY in labels else None
    if PRIORITY in labels and priority is None:
        refuse(PRIORITY, f"must be {PRIORITY_KIND.rule}" + (f" ({consequence})" if named else ""))
        bad.add(PRIORITY)
    return Asked(hosts, grpc_services, methods, metadata, priority, frozenset(bad))
