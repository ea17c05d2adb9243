"""The docker labels of a service, checked by the same code that the Lambda reads them with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import aws_cdk as cdk

from cdk_grpc_lb.routing.policies import check_policy, check_routes
from cdk_grpc_lb.tokens import is_token, is_unresolved, texts_of
from cdk_grpc_lb.validation import Props
from grpc_lb_contract import Condition, Registration, Route, RouteRule, TrafficPolicy, read_labels
from grpc_lb_contract.labels.names import GRPC_SERVICES, HOSTS, METHODS, PORT, SERVICE

if TYPE_CHECKING:
    from cdk_grpc_lb.service.props import CallProps

_Kind = TypeVar("_Kind")

# Stands for tokens where a registration is checked.
_ANY = Registration(service="any", port=1)
_ANY_METHOD = "any/Any"


@dataclass(frozen=True, slots=True)
class LabelledCalls:
    """What a service asks of its balancer. `routes` are those that are known at synth."""

    service_name: str
    labels: Mapping[str, str]
    routes: tuple[Route, ...]
    weight: int | None
    policy: TrafficPolicy


def labelled_calls(props: Props, calls: CallProps, *, service_name: str, port: int) -> LabelledCalls:
    """What these props ask for. Raises ValueError for a value that the Lambda would refuse.

    A name, port, host, gRPC service or method that is a token has no value at synth: it goes in unchecked, and the
    Lambda checks what it becomes.
    """
    hosts = _texts(props, "hosts", calls.get("hosts"), fix="leave it out for all")
    grpc_services = _texts(props, "grpc_services", calls.get("grpc_services"), fix="leave it out for all")
    methods = _texts(props, "methods", calls.get("methods"), fix="leave it out for those of grpc_services")
    if methods is not None and grpc_services is not None and set(grpc_services) == {"*"}:
        raise props.conflict("methods", "grpc_services *", "a gRPC service has all its methods; leave out either")
    for prop, number in (("weight", calls.get("weight")), ("priority", calls.get("priority"))):
        if is_token(number):
            raise props.error(prop, "known at synth", "a token")
    policy = check_policy(props, calls.get("policy"), of=service_name)
    metadata = _conditions(props, "metadata", calls.get("metadata"))
    rules = _all_of(
        props, "routes", calls.get("routes"), RouteRule, 'RouteRule("reads", methods=("orders.v1.Orders/Get",))'
    )
    for rule in rules:
        _conditions(props, "routes", rule.metadata)
    registration = _registration(
        props,
        ("service_name", "service", _known(service_name, _ANY.service)),
        ("port", "port", _ANY.port if is_unresolved(port) else port),
        ("hosts", "hosts", _known_of(hosts, _ANY.service)),
        ("grpc_services", "grpc_services", _known_of(grpc_services, _ANY.service)),
        ("methods", "methods", _known_of(methods, _ANY_METHOD)),
        ("metadata", "metadata", metadata),
        ("priority", "priority", calls.get("priority")),
        ("weight", "weight", calls.get("weight")),
        ("policy", "policy", policy),
        ("routes", "rules", rules),
    )
    check_routes(props, registration)
    labels = registration.to_labels()
    _read_back(props, registration, labels)
    labels[SERVICE] = service_name
    if is_unresolved(port):
        labels[PORT] = cdk.Token.as_string(port)
    routes = registration.routes
    for label, values in ((HOSTS, hosts), (GRPC_SERVICES, grpc_services), (METHODS, methods)):
        if values is not None and any(map(is_unresolved, values)):
            labels[label] = ",".join(values)
            routes = ()
    return LabelledCalls(service_name, labels, routes, calls.get("weight"), policy)


def _registration(props: Props, *given: tuple[str, str, Any]) -> Registration:
    """Of props, with the field that each is. Raises ValueError, which names the prop that is wrong."""
    fields = {name: value for _, name, value in given if value is not None}
    try:
        return replace(_ANY, **fields)
    except ValueError:
        registration = _ANY
        for prop, name, _ in given:
            with props.naming(prop):
                registration = replace(registration, **{name: fields.get(name, getattr(registration, name))})
        raise


def _read_back(props: Props, registration: Registration, labels: Mapping[str, str]) -> None:
    """Raise ValueError for a route that the Lambda would not read as what its labels were written from.

    All other labels are one to one with what they are written from; a route's are read beside its service's.
    """
    if not registration.rules:
        return
    reading = read_labels(labels, mapped_ports=[registration.port], default_service=registration.service, family="")
    for error in reading.errors:
        with props.naming("routes"):
            raise ValueError(f"{error.label} {error.problem}, got {error.value!r}")


def _texts(props: Props, prop: str, values: Sequence[str] | None, *, fix: str) -> tuple[str, ...] | None:
    if values is None:
        return None
    if isinstance(values, str) or not values:
        raise props.error(prop, f"a list that names at least one ({fix})", repr(values))
    return tuple(texts_of(values))


def _conditions(props: Props, prop: str, conditions: Sequence[Condition] | None) -> tuple[Condition, ...]:
    found = _all_of(props, prop, conditions, Condition, 'Condition("x-canary", Match.EXACT, "yes")')
    for condition in found:
        if is_token(str(condition)):
            raise props.error(prop, "conditions whose values are known at synth", repr(str(condition)))
    return found


def _all_of(
    props: Props, prop: str, values: Sequence[_Kind] | None, kind: type[_Kind], example: str
) -> tuple[_Kind, ...]:
    if values is None:
        return ()
    if isinstance(values, str | kind) or not all(isinstance(each, kind) for each in values):
        raise props.error(prop, f"a list such as [{example}]", repr(values))
    return tuple(values)


def _known(value: str, otherwise: str) -> str:
    return otherwise if is_unresolved(value) else value


def _known_of(values: tuple[str, ...] | None, otherwise: str) -> tuple[str, ...] | None:
    return None if values is None else tuple(_known(value, otherwise) for value in values)
