"""The target document: which targets stand behind which service, and which calls each service takes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from grpc_lb_contract.document.balancers import Balancer
from grpc_lb_contract.document.diagnostics import Diagnostics
from grpc_lb_contract.metadata_conditions import Condition
from grpc_lb_contract.names import (
    ALL,
    GROUP_NAME,
    GROUP_NAME_RULE,
    MAX_PORT,
    MAX_PRIORITY,
    MAX_WEIGHT,
    SERVICE_NAME,
    SERVICE_NAME_RULE,
    TASK_ID,
    TASK_ID_RULE,
    ZONE,
    ZONE_RULE,
    host_port,
    must_be_address,
    must_be_full_method,
    must_be_grpc_service,
    must_be_host,
    must_be_within,
    must_match,
)
from grpc_lb_contract.policy.overrides import Overrides
from grpc_lb_contract.policy.traffic_policy import TrafficPolicy


class TargetState(StrEnum):
    """Whether a target takes new calls."""

    SERVING = "serving"
    DRAINING = "draining"
    """Told to stop: no new call, and the calls it has finish."""


RouteMatch = tuple[str, str, str, tuple[Condition, ...]]
"""Host, gRPC service, method, conditions: which calls a route takes."""


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """Calls that a service takes: those to a host (`:authority` without its port), a gRPC service and a method, whose
    metadata fits every condition.

    `*` as host, gRPC service or method stands for all, `*.example.com` for every host below that domain; a method needs
    its gRPC service. Of the routes that fit a call, the one with the most specific host takes it; among those the one
    with the highest `priority`, then with the most conditions, then with the method, then with the gRPC service.
    `overrides` is what holds for its calls in place of its service's policy.
    """

    host: str = ALL
    grpc_service: str = ALL
    metadata: tuple[Condition, ...] = ()
    method: str = ALL
    priority: int = 0
    overrides: Overrides = Overrides()  # noqa: RUF009 - immutable: one default serves all

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", tuple(sorted(set(self.metadata))))
        must_be_host("host", self.host)
        must_be_grpc_service("gRPC service", self.grpc_service)
        if self.method != ALL:
            must_be_full_method("method", f"{self.grpc_service}/{self.method}")
        must_be_within("priority", self.priority, 0, MAX_PRIORITY)

    @property
    def match(self) -> RouteMatch:
        """What tells it from other routes: of one match there is one route, of one service."""
        return self.host, self.grpc_service, self.method, self.metadata

    @property
    def order(self) -> tuple[int, int, bool, bool, RouteMatch]:
        """Of the routes of one host that fit a call, the one whose order is the least takes it."""
        return -self.priority, -len(self.metadata), self.method == ALL, self.grpc_service == ALL, self.match

    def __str__(self) -> str:
        """Its match, in words."""
        of_all = self.method == ALL
        called = f"gRPC service {self.grpc_service}" if of_all else f"method {self.grpc_service}/{self.method}"
        conditions = f" with metadata {', '.join(map(str, self.metadata))}" if self.metadata else ""
        return f"host {self.host} and {called}{conditions}"


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """An ECS service (or a task family, for tasks that no service runs) that backs a logical service.

    `weight`, 0 to 1000, is the group's part of the calls, compared with the other groups of the service, however many
    targets it has; within the group each target gets the same. Where every group has the weight 1, that nobody has set,
    the groups make no difference: each target of the service gets the same.
    """

    name: str
    weight: int = 1

    def __post_init__(self) -> None:
        must_match(GROUP_NAME, "group", self.name, GROUP_NAME_RULE)
        must_be_within("weight", self.weight, 0, MAX_WEIGHT)


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One task's address. `zone` is its availability zone, "" where unknown; `task` the last part of its ARN."""

    ip: str
    port: int
    zone: str
    state: TargetState
    group: str
    task: str

    def __post_init__(self) -> None:
        must_be_address("ip", self.ip)
        must_be_within("port", self.port, 1, MAX_PORT)
        must_match(ZONE, "zone", self.zone, ZONE_RULE)
        must_match(TASK_ID, "task", self.task, TASK_ID_RULE)

    @property
    def address(self) -> str:
        return host_port(self.ip, self.port)


@dataclass(frozen=True, slots=True)
class Service:
    """A logical service: what clients call by one name, whichever ECS services back it.

    Routes, groups and targets are kept sorted. Of two targets with one address (ECS gives an address again once its
    task has stopped) the one that serves stays; of two routes with one match the one with the higher priority.
    """

    name: str
    routes: tuple[Route, ...] = (Route(),)
    groups: tuple[Group, ...] = ()
    targets: tuple[Target, ...] = ()
    policy: TrafficPolicy = TrafficPolicy()  # noqa: RUF009 - immutable: one default serves all

    @property
    def is_weighed(self) -> bool:
        """Whether groups take calls by their weights, and not by how many targets they have."""
        return any(group.weight != 1 for group in self.groups)

    def __post_init__(self) -> None:
        must_match(SERVICE_NAME, "service", self.name, SERVICE_NAME_RULE)
        groups = {group.name: group for group in self.groups}
        if len(groups) != len(self.groups):
            raise ValueError(f"groups of service {self.name} must have names of their own, got {self.groups}")
        for target in self.targets:
            if target.group not in groups:
                raise ValueError(
                    f"group of target {target.address} must be one of service {self.name}'s groups "
                    f"{', '.join(sorted(groups)) or '(none)'}, got {target.group!r}"
                )
        object.__setattr__(self, "routes", _one_per_match(self.routes))
        object.__setattr__(self, "groups", tuple(sorted(self.groups)))
        object.__setattr__(self, "targets", _one_per_address(self.targets))


@dataclass(frozen=True, slots=True)
class Document:
    """Every service of one cluster, sorted by name, and its balancers. Equal content is an equal document."""

    services: tuple[Service, ...] = ()
    diagnostics: Diagnostics = Diagnostics()  # noqa: RUF009 - immutable: one default serves all
    balancers: tuple[Balancer, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "balancers", tuple(sorted(self.balancers)))
        names = [service.name for service in self.services]
        if len(set(names)) != len(names):
            raise ValueError(f"services of a document must have names of their own, got {', '.join(sorted(names))}")
        object.__setattr__(self, "services", tuple(sorted(self.services, key=lambda service: service.name)))

    def service(self, name: str) -> Service | None:
        return next((service for service in self.services if service.name == name), None)


def _one_per_match(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    by_match: dict[RouteMatch, Route] = {}
    for route in routes:
        known = by_match.get(route.match)
        if known is None or (known.priority, known.overrides) < (route.priority, route.overrides):
            by_match[route.match] = route
    return tuple(
        sorted(by_match.values(), key=lambda route: (route.host, route.grpc_service, route.metadata, route.method))
    )


def _one_per_address(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    by_address: dict[tuple[str, int], Target] = {}
    for target in sorted(targets, key=lambda target: (target.state is TargetState.SERVING, target)):
        by_address[target.ip, target.port] = target
    return tuple(sorted(by_address.values()))
