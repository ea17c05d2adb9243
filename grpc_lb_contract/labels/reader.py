"""Docker labels: how a task says that it takes part, as which service, on which port, for which calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from grpc_lb_contract.errors import LabelError
from grpc_lb_contract.labels.call_selection import NO_ROUTE, Asked, Refuse, no_route, read_asked
from grpc_lb_contract.labels.names import (
    ENABLE,
    GRPC_SERVICES,
    HOSTS,
    METADATA,
    METHODS,
    PORT,
    SERVICE,
    WEIGHT,
    is_known,
    is_ours,
    problem_with,
    route_name,
    selection_meant,
)
from grpc_lb_contract.labels.registration import MAX_ROUTES, WEIGHT_KIND, CallSelection, Registration
from grpc_lb_contract.labels.route_labels import read_rules
from grpc_lb_contract.names import ALL, MAX_PORT, SERVICE_NAME, SERVICE_NAME_RULE, service_name_from
from grpc_lb_contract.policy.traffic_policy import TrafficPolicy

MAX_ERRORS = 100
"""Of one container: its labels are told, logged and kept in the document wherever they are wrong."""
MAX_SUGGESTIONS = 5
"""Of one container: whoever has more unknown labels has not misspelt them."""


@dataclass(frozen=True, slots=True)
class LabelReading:
    """What labels ask for, as far as it can be applied, and what cannot.

    `registration` is None where the container does not take part, or where an error takes out all that it asks for. Of
    more than `MAX_ERRORS` errors the last one says how many more there are.
    """

    registration: Registration | None
    errors: tuple[LabelError, ...] = ()


def read_labels(
    labels: Mapping[str, str], *, mapped_ports: Sequence[int], default_service: str, family: str
) -> LabelReading:
    """Read the docker labels of one container.

    `mapped_ports` are the TCP ports that its definition maps, `default_service` the name (of the ECS service or
    task family) that the service has where no label names one, `family` the task family that errors are told for.
    Never raises: labels are untrusted, and a bad one takes out only what it stands on.
    """
    errors: list[LabelError] = []
    more = 0

    def refuse(label: str, problem: str) -> None:
        nonlocal more
        if len(errors) < MAX_ERRORS:
            errors.append(LabelError(family, label, labels.get(label, ""), problem))
        else:
            more += 1

    unknown = sorted(label for label in labels if is_ours(label) and not is_known(label))
    misspelt = _misspelt_selections(labels, unknown[:MAX_SUGGESTIONS])
    registration = _read_registration(labels, mapped_ports, default_service, refuse, frozenset(misspelt.values()))
    for number, label in enumerate(unknown):
        # What may have been meant is sought for, which takes a while, where it will be told.
        told = len(errors) < MAX_ERRORS
        problem = problem_with(label, labels[label], suggest=number < MAX_SUGGESTIONS) if told else ""
        refuse(label, f"{problem} ({no_route(misspelt[label])})" if label in misspelt else problem)
    if more:
        errors[-1] = replace(errors[-1], problem=f"{errors[-1].problem} (and {more:,} more errors of this container)")
    return LabelReading(registration, tuple(errors))


def _misspelt_selections(labels: Mapping[str, str], unknown: Sequence[str]) -> dict[str, str]:
    """Unknown labels that were meant to say which calls are taken, where none says it: no guess may widen them."""
    meant = ((label, selection_meant(label)) for label in unknown)
    return {label: real for label, real in meant if real is not None and real not in labels}


def _read_registration(
    labels: Mapping[str, str],
    mapped_ports: Sequence[int],
    default_service: str,
    refuse: Refuse,
    misspelt: Set[str],
) -> Registration | None:
    enabled = _read_enable(labels, refuse)
    service = _read_service(labels, default_service, refuse) if enabled else None
    port = _read_port(labels, mapped_ports, refuse) if enabled else None
    if service is None or port is None:
        return None
    asked = read_asked(labels, refuse, named=False).without(misspelt)
    calls = _own_calls(asked)
    # Rules may take what these routes would have been; the routes themselves go.
    without_own = METADATA in asked.bad_labels or calls.size > MAX_ROUTES
    if calls.size > MAX_ROUTES:
        label = HOSTS if len(calls.hosts) > len(calls.grpc_services) + len(calls.methods) else GRPC_SERVICES
        if label == GRPC_SERVICES and len(calls.methods) > len(calls.grpc_services):
            label = METHODS
        refuse(label, f"must leave {HOSTS} times {GRPC_SERVICES} at most {MAX_ROUTES} ({NO_ROUTE})")
    weight = _read_weight(labels, refuse)
    policy, refusals = TrafficPolicy.from_labels(labels)
    for refusal in refusals:
        refuse(refusal.label, refusal.problem)
    rules = read_rules(
        labels,
        refuse,
        calls,
        policy,
        stand_alone=without_own,
        may_inherit_metadata=METADATA not in asked.bad_labels,
        left_out=frozenset(name for label in misspelt if (name := route_name(label)) is not None),
    )
    return Registration(
        service,
        port,
        () if without_own else calls.hosts,
        calls.grpc_services,
        calls.metadata,
        weight,
        policy,
        calls.methods,
        calls.priority,
        tuple(rules),
    )


def _own_calls(asked: Asked) -> CallSelection:
    every = () if asked.methods is not None else (ALL,)
    return CallSelection(
        (ALL,) if asked.hosts is None else asked.hosts,
        every if asked.grpc_services is None else asked.grpc_services,
        asked.methods or (),
        asked.metadata or (),
        asked.priority or 0,
    )


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
    ports = sorted({port for port in mapped_ports if 1 <= port <= MAX_PORT})
    if not ports:
        refuse(PORT, "must be a mapped TCP port, and the container maps none (add a port mapping)")
        return None
    text = labels.get(PORT, "").strip()
    if PORT not in labels and len(ports) == 1:
        return ports[0]
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) in ports):
        refuse(PORT, f"must be one of the mapped ports {_in_words(ports)}")
        return None
    return int(text)


def _in_words(ports: Sequence[int]) -> str:
    """Sorted ports, `8080, 50051-50055`."""
    runs: list[list[int]] = []
    for port in ports:
        if runs and port == runs[-1][-1] + 1:
            runs[-1].append(port)
        else:
            runs.append([port])
    words = (f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
    return ", ".join(words)


def _read_weight(labels: Mapping[str, str], refuse: Refuse) -> int | None:
    if WEIGHT not in labels:
        return None
    weight: int | None = WEIGHT_KIND.read(labels[WEIGHT].strip())
    if weight is None:
        refuse(WEIGHT, f"must be {WEIGHT_KIND.rule}")
    return weight
