"""Docker labels: how a task says that it takes part, as which service, on which port, for which calls."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from grpc_lb_contract.errors import LabelError
from grpc_lb_contract.kinds import whole
from grpc_lb_contract.metadata import CONDITIONS_RULE, LONGEST_LIST, Condition, read_conditions, write_conditions
from grpc_lb_contract.model import Route
from grpc_lb_contract.names import (
    ALL,
    GRPC_SERVICE_RULE,
    HIGHEST_PORT,
    HIGHEST_WEIGHT,
    HOST_RULE,
    SERVICE_NAME,
    SERVICE_NAME_RULE,
    is_grpc_service,
    is_host,
    must_be_grpc_service,
    must_be_host,
    must_be_within,
    must_match,
    service_name_from,
)
from grpc_lb_contract.policy import POLICY_LABELS, PREFIX, TrafficPolicy

ENABLE = "grpc-lb.enable"
SERVICE = "grpc-lb.service"
PORT = "grpc-lb.port"
HOSTS = "grpc-lb.hosts"
GRPC_SERVICES = "grpc-lb.grpc-services"
METADATA = "grpc-lb.metadata"
WEIGHT = "grpc-lb.weight"
LABELS = (ENABLE, SERVICE, PORT, HOSTS, GRPC_SERVICES)
ALL_LABELS = (*LABELS, METADATA, WEIGHT, *POLICY_LABELS)

WEIGHT_KIND = whole(0, HIGHEST_WEIGHT)

MOST_ROUTES = 64
"""Hosts times gRPC services of one registration: one task's labels must not fill the document of a whole cluster."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What a container asks for: the calls to `hosts` and `grpc_services` (each with each) come to its `port`.

    Raises `ValueError` for a value that no label may hold. No host, or no gRPC service, means no route: the service is
    known by its name alone. `metadata` are conditions that a call must fit, all of them. `weight` is what its ECS
    service is weighed with, None where it is not.
    """

    service: str
    port: int
    hosts: tuple[str, ...] = (ALL,)
    grpc_services: tuple[str, ...] = (ALL,)
    metadata: tuple[Condition, ...] = ()
    weight: int | None = None
    policy: TrafficPolicy = TrafficPolicy()  # noqa: RUF009 - immutable: one default serves all

    def __post_init__(self) -> None:
        must_match(SERVICE_NAME, "service", self.service, SERVICE_NAME_RULE)
        must_be_within("port", self.port, 1, HIGHEST_PORT)
        for host in self.hosts:
            must_be_host("each of hosts", host)
        for grpc_service in self.grpc_services:
            must_be_grpc_service("each of grpc-services", grpc_service)
        if len(self.hosts) * len(self.grpc_services) > MOST_ROUTES:
            raise ValueError(
                f"hosts times grpc-services must be at most {MOST_ROUTES}, "
                f"got {len(self.hosts)} times {len(self.grpc_services)}"
            )
        conditions = write_conditions(self.metadata)
        if len(conditions) > LONGEST_LIST:
            raise ValueError(f"metadata must be at most {LONGEST_LIST} characters in all, got {len(conditions)}")
        if self.weight is not None:
            must_be_within("weight", self.weight, 0, HIGHEST_WEIGHT)
        object.__setattr__(self, "metadata", tuple(sorted(set(self.metadata))))
        object.__setattr__(self, "hosts", tuple(sorted(set(self.hosts))))
        object.__setattr__(self, "grpc_services", tuple(sorted(set(self.grpc_services))))

    @property
    def routes(self) -> tuple[Route, ...]:
        return tuple(
            Route(host, grpc_service, self.metadata) for host, grpc_service in product(self.hosts, self.grpc_services)
        )

    def to_labels(self) -> dict[str, str]:
        """The labels that `read_labels` reads as this registration."""
        labels = {ENABLE: "true", SERVICE: self.service, PORT: str(self.port)}
        if self.hosts != (ALL,):
            labels[HOSTS] = ",".join(self.hosts)
        if self.grpc_services != (ALL,):
            labels[GRPC_SERVICES] = ",".join(self.grpc_services)
        if self.metadata:
            labels[METADATA] = write_conditions(self.metadata)
        if self.weight is not None:
            labels[WEIGHT] = str(self.weight)
        return labels | self.policy.to_labels()


@dataclass(frozen=True, slots=True)
class LabelReading:
    """What labels ask for, as far as it can be obeyed, and what cannot.

    `registration` is None where the container does not take part, or where an error takes out all that it asks for.
    """

    registration: Registration | None
    errors: tuple[LabelError, ...] = ()


def read_labels(
    labels: Mapping[str, str], *, mapped_ports: Sequence[int], default_service: str, family: str
) -> LabelReading:
    """Read the docker labels of one container.

    `mapped_ports` are the container ports that its definition maps, `default_service` the name (of the ECS service or
    task family) that the service has where no label names one, `family` the task family that errors are told for.
    Never raises: labels are untrusted, and a bad one takes out only what it stands on.
    """
    errors: list[LabelError] = []

    def refuse(label: str, problem: str) -> None:
        errors.append(LabelError(family, label, labels.get(label, ""), problem))

    for label in sorted(labels):
        if label.startswith(PREFIX) and label not in ALL_LABELS:
            nearest = difflib.get_close_matches(label, ALL_LABELS, n=1)
            allowed = ", ".join(_labels_about_the_same(label))
            refuse(label, f"must be one of the labels {allowed}" + (f" ({nearest[0]}?)" if nearest else ""))
    enabled = _read_enable(labels, refuse)
    service = _read_service(labels, default_service, refuse) if enabled else None
    port = _read_port(labels, mapped_ports, refuse) if enabled else None
    if service is None or port is None:
        return LabelReading(None, tuple(errors))
    hosts = _read_list(labels, HOSTS, is_host, HOST_RULE, refuse, str.lower)
    grpc_services = _read_list(labels, GRPC_SERVICES, is_grpc_service, GRPC_SERVICE_RULE, refuse, str)
    if len(hosts) * len(grpc_services) > MOST_ROUTES:
        label = HOSTS if len(hosts) > len(grpc_services) else GRPC_SERVICES
        refuse(label, f"must leave {HOSTS} times {GRPC_SERVICES} at most {MOST_ROUTES} (the service has no route now)")
        hosts, grpc_services = (), ()
    metadata = read_conditions(labels[METADATA]) if METADATA in labels else ()
    if metadata is None:
        refuse(METADATA, f"must be {CONDITIONS_RULE} (the service has no route now)")
        hosts, grpc_services, metadata = (), (), ()
    weight = _read_weight(labels, refuse)
    policy, refusals = TrafficPolicy.from_labels(labels)
    for refusal in refusals:
        refuse(refusal.label, refusal.problem)
    return LabelReading(Registration(service, port, hosts, grpc_services, metadata, weight, policy), tuple(errors))


def _labels_about_the_same(label: str) -> tuple[str, ...]:
    """For `grpc-lb.retry.tries` those about retries, else those that every service has."""
    about = label.removeprefix(PREFIX).partition(".")[0]
    of_policy = tuple(known for known in POLICY_LABELS if known.removeprefix(PREFIX).partition(".")[0] == about)
    return of_policy or LABELS


Refuse = Callable[[str, str], None]


def _read_enable(labels: Mapping[str, str], refuse: Refuse) -> bool:
    value = labels.get(ENABLE, "false").strip().lower()
    if value not in ("true", "false"):
        refuse(ENABLE, "must be true or false")
    return value == "true"


def _read_service(labels: Mapping[str, str], default_service: str, refuse: Refuse) -> str | None:
    name = labels.get(SERVICE, service_name_from(default_service)).strip()
    if SERVICE_NAME.fullmatch(name) is None:
        refuse(SERVICE, f"must be {SERVICE_NAME_RULE}")
        return None
    return name


def _read_port(labels: Mapping[str, str], mapped_ports: Sequence[int], refuse: Refuse) -> int | None:
    ports = sorted({port for port in mapped_ports if 1 <= port <= HIGHEST_PORT})
    allowed = ", ".join(map(str, ports))
    if not ports:
        refuse(PORT, "must be a mapped port, and the container maps none (add a port mapping)")
        return None
    text = labels.get(PORT, "").strip()
    if PORT not in labels and len(ports) == 1:
        return ports[0]
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) in ports):
        refuse(PORT, f"must be one of the mapped ports {allowed}")
        return None
    return int(text)


def _read_weight(labels: Mapping[str, str], refuse: Refuse) -> int | None:
    if WEIGHT not in labels:
        return None
    weight: int | None = WEIGHT_KIND.read(labels[WEIGHT].strip())
    if weight is None:
        refuse(WEIGHT, f"must be {WEIGHT_KIND.rule}")
    return weight


def _read_list(
    labels: Mapping[str, str],
    label: str,
    allowed: Callable[[str], bool],
    rule: str,
    refuse: Refuse,
    normalised: Callable[[str], str],
) -> tuple[str, ...]:
    if label not in labels:
        return (ALL,)
    values = [normalised(value.strip()) for value in labels[label].split(",")]
    for value in values:
        if not allowed(value):
            refuse(label, f"must be a comma-separated list, each {rule}; {value!r} is not")
    return tuple(value for value in values if allowed(value))
