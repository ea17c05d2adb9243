"""The docker labels of a service, checked by the same code that the Lambda reads them with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aws_cdk as cdk

from cdk_grpc_lb.misuse import Props
from grpc_lb_contract import Registration, Route
from grpc_lb_contract.label_names import GRPC_SERVICES, HOSTS, PORT, SERVICE

# Stands for a token where a registration is checked.
_ANY = Registration(service="any", port=1)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a service asks of its balancer. `routes` are those that are known at synth."""

    service_name: str
    labels: Mapping[str, str]
    routes: tuple[Route, ...]


def wish_of(
    props: Props,
    *,
    service_name: str,
    port: int,
    hosts: Sequence[str] | None,
    grpc_services: Sequence[str] | None,
) -> Wish:
    """What these props ask for. Raises ValueError for a value that the Lambda would refuse.

    A token has no value at synth: it goes in unchecked, and the Lambda checks what it becomes.
    """
    hosts = _given(props, "hosts", hosts)
    grpc_services = _given(props, "grpc_services", grpc_services)
    with props.naming("service_name"):
        Registration(service=_known(service_name, _ANY.service), port=_ANY.port)
    with props.naming("hosts"):
        Registration(service=_ANY.service, port=_ANY.port, hosts=_known_of(hosts))
    with props.naming("grpc_services"):
        registration = Registration(
            service=_known(service_name, _ANY.service),
            port=_ANY.port if cdk.Token.is_unresolved(port) else port,
            hosts=_known_of(hosts),
            grpc_services=_known_of(grpc_services),
        )
    labels = registration.to_labels() | {SERVICE: service_name}
    if cdk.Token.is_unresolved(port):
        labels[PORT] = cdk.Token.as_string(port)
    routes = registration.routes
    for label, values in ((HOSTS, hosts), (GRPC_SERVICES, grpc_services)):
        if any(cdk.Token.is_unresolved(value) for value in values):
            labels[label] = ",".join(values)
            routes = ()
    return Wish(service_name, labels, routes)


def _given(props: Props, prop: str, values: Sequence[str] | None) -> tuple[str, ...]:
    if values is None:
        return _ANY.hosts
    if isinstance(values, str) or not values:
        raise props.error(prop, "a list that names at least one (leave it out for all)", repr(values))
    return tuple(values)


def _known(value: str, otherwise: str) -> str:
    return otherwise if cdk.Token.is_unresolved(value) else value


def _known_of(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_known(value, _ANY.service) for value in values)
