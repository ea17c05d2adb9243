"""The document as text: one JSON record a line, so that people can read it, and it is cut between records.

    {"service":"rng"}                                             a service; the records up to the next one are its own
    {"policy":{"balancing":"least-request"}}                      settings that are not at their default, as in labels
    {"route":["*","rng.v1.RandomNumber"]}                         host, gRPC service
    {"route_if":["*","*",["x-canary=yes"]]}                       host, gRPC service, conditions on metadata
    {"route_for":{"grpc_service":"rng.v1.RandomNumber","method":"Get","priority":5,"settings":{"deadline.default":"2s"}}}
                                                                  what the two above cannot say; settings as in labels
    {"group":["rng-blue",1]}                                      ECS service or task family, weight
    ["10.0.1.23",50051,"us-east-1a","0123456789abcdef",0]         target: ip, port, zone, task, place of its group
    ["10.0.1.24",50051,"us-east-1b","fedcba9876543210",0,{"state":"draining"}]

After the services come the notes on what labels were rejected (`grpc_lb_contract.document.diagnostics`), and the
balancers of the cluster:

    {"balancer":["10.0.2.7",8080,"us-east-1a","89abcdef","/grpc-lb/x"]}  ip, port of its page, zone, task, name

Records of an unknown kind, unknown fields of known ones and further elements of a list are ignored, so that an older
reader goes on with a newer writer of the same major version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from grpc_lb_contract.document.balancers import Balancer
from grpc_lb_contract.document.diagnostics import DiagnosticsBuilder, diagnostic_records
from grpc_lb_contract.document.model import Document, Group, Route, Service, Target, TargetState
from grpc_lb_contract.document.parameter_json import parameter_json
from grpc_lb_contract.document.per_service import PerService
from grpc_lb_contract.errors import DocumentError
from grpc_lb_contract.metadata_conditions import read_conditions
from grpc_lb_contract.names import ALL
from grpc_lb_contract.policy.overrides import Overrides
from grpc_lb_contract.policy.traffic_policy import DEFAULTS, TrafficPolicy


def encode_document(document: Document, texts: PerService[str] | None = None) -> str:
    """The one text of a document: every record ends with a newline; an empty document is the empty text. A writer that
    follows a document has the `texts` of its services.
    """
    services = "".join((service_texts() if texts is None else texts).of(document.services).values())
    # An older reader passes over a record that it does not know, where a service came before.
    balancers = document.balancers if services else ()
    named = ({"balancer": [each.ip, each.port, each.zone, each.task, each.name]} for each in balancers)
    return services + "".join(map(_record, (*diagnostic_records(document.diagnostics), *named)))


def service_texts() -> PerService[str]:
    """For the generations of one document."""
    return PerService(lambda service: "".join((*_settings_records(service), *_target_records(service))))


def size_of_settings(service: Service) -> int:
    """The bytes of its records without those of its groups and targets."""
    return sum(map(len, _settings_records(service)))


def _settings_records(service: Service) -> Iterator[str]:
    yield _record({"service": service.name})
    settings = service.policy.to_settings()
    if settings:
        yield _record({"policy": settings})
    for route in service.routes:
        yield _record(_route_fields(route))


def _target_records(service: Service) -> Iterator[str]:
    for group in service.groups:
        yield _record({"group": [group.name, group.weight]})
    place = {group.name: index for index, group in enumerate(service.groups)}
    for target in service.targets:
        fields: list[object] = [target.ip, target.port, target.zone, target.task, place[target.group]]
        if target.state is not TargetState.SERVING:
            fields.append({"state": target.state.value})
        yield _record(fields)


def _route_fields(route: Route) -> dict[str, object]:
    conditions = [str(condition) for condition in route.metadata]
    # Each under a name of its own: an older reader must not take all calls for those that fit.
    if route != Route(route.host, route.grpc_service, route.metadata) or any(one.is_negated for one in route.metadata):
        fields = {
            "host": route.host,
            "grpc_service": route.grpc_service,
            "method": route.method,
            "metadata": conditions,
            "priority": route.priority,
            "settings": route.overrides.to_settings(),
        }
        return {"route_for": {name: value for name, value in fields.items() if value not in (ALL, [], 0, {})}}
    if conditions:
        return {"route_if": [route.host, route.grpc_service, conditions]}
    return {"route": [route.host, route.grpc_service]}


def _record(value: object) -> str:
    return parameter_json(value) + "\n"


def decode_document(text: str) -> Document:
    """The document that a text holds. Raises `DocumentError`, naming the line, where it holds none."""
    services: list[_ServiceBuilder] = []
    notes = DiagnosticsBuilder()
    balancers: list[Balancer] = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            _add_record(services, notes, balancers, json.loads(line))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise DocumentError(
                f"line {number} of the document must be a record, got {line[:120]!r}: {error}"
            ) from None
    if not text.endswith("\n") and text:
        raise DocumentError(f"the document must end with a newline, got {text[-40:]!r}: its end is missing")
    try:
        return Document(tuple(service.built() for service in services), notes.built(), tuple(balancers))
    except (ValueError, TypeError) as error:  # whatever it is that the checks of a record let through
        raise DocumentError(str(error)) from None


class _ServiceBuilder:
    def __init__(self, name: str) -> None:
        self.name = name
        self.routes: list[Route] = []
        self.groups: list[Group] = []
        self.targets: list[Target] = []
        self.policy = DEFAULTS

    def built(self) -> Service:
        return Service(self.name, tuple(self.routes), tuple(self.groups), tuple(self.targets), self.policy)


def _add_record(
    services: list[_ServiceBuilder], notes: DiagnosticsBuilder, balancers: list[Balancer], record: Any
) -> None:
    if isinstance(record, dict) and "service" in record:
        services.append(_ServiceBuilder(record["service"]))
        return
    if not isinstance(record, dict | list):
        raise TypeError("a record is an object or a list")
    if isinstance(record, dict) and notes.takes(record):
        return
    if isinstance(record, dict) and "balancer" in record:
        balancers.append(Balancer(*record["balancer"][:5]))
        return
    if not services:
        raise ValueError("a service must come first")
    service = services[-1]
    if isinstance(record, list):
        service.targets.append(_target(record, service.groups))
    elif "policy" in record:
        # A setting that this reader does not know is a newer writer's: its default stays.
        service.policy, _ = TrafficPolicy.from_settings(dict(record["policy"]))
    elif "route" in record:
        host, grpc_service = record["route"][:2]
        service.routes.append(Route(host, grpc_service))
    elif "route_if" in record:
        host, grpc_service, conditions = record["route_if"][:3]
        service.routes += _route({"host": host, "grpc_service": grpc_service, "metadata": conditions})
    elif "route_for" in record:
        service.routes += _route(record["route_for"])
    elif "group" in record:
        name, weight = record["group"][:2]
        service.groups.append(Group(name, weight))


def _route(fields: dict[str, Any]) -> list[Route]:
    # Conditions that this reader does not know are a newer writer's: the route is not for it.
    metadata = read_conditions(",".join(fields["metadata"])) if "metadata" in fields else ()
    if metadata is None:
        return []
    overrides, _ = Overrides.from_settings(dict(fields.get("settings", {})))
    host, grpc_service, method = (fields.get(name, ALL) for name in ("host", "grpc_service", "method"))
    if not isinstance(method, str):
        raise TypeError(f"the method of a route must be a text, got {method!r}")
    return [Route(host, grpc_service, metadata, method, fields.get("priority", 0), overrides)]


def _target(record: list[Any], groups: list[Group]) -> Target:
    ip, port, zone, task, group = record[:5]
    extras = record[5] if len(record) > 5 else {}
    if not isinstance(extras, dict):
        raise TypeError(f"the last element of a target must be an object, got {extras!r}")
    if not isinstance(group, int) or isinstance(group, bool) or group < 0:
        raise ValueError(f"the place of a target's group must be 0 or more, got {group!r}")
    state = TargetState(extras.get("state", TargetState.SERVING.value))
    return Target(ip, port, zone, state, groups[group].name, task)
