"""Labels of versions 2 and 3: `traefik.http.routers.*`, `.services.*` and `.middlewares.*`.

https://doc.traefik.io/traefik/v3.6/reference/routing-configuration/other-providers/ecs/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grpc_lb_contract import service_name_from
from grpc_lb_contract.labels.names import ENABLE, PORT, SERVICE
from traefik_labels import policies
from traefik_labels.default_rule import fill_in, normalized
from traefik_labels.middlewares import Middlewares
from traefik_labels.model import PREFIX, Container, Draft
from traefik_labels.routes import Router, calls_of, entry_points_of, put_routes
from traefik_labels.settings import TraefikLabels
from traefik_labels.shadowing import without_calls_of
from traefik_labels.syntax import NotReadable
from traefik_labels.unsupported import OTHERS, ROUTERS, SERVICES, remark, without

Settings = dict[str, str]
"""The names of labels, by what they set, in lower case."""

_SERVER_PORT = "loadbalancer.server.port"
_SERVER_SCHEME = "loadbalancer.server.scheme"
_HEALTH_CHECK = "loadbalancer.healthcheck."
# https://doc.traefik.io/traefik/v3.6/reference/routing-configuration/http/load-balancing/service/#health-check
_CHECKED_EVERY, _CHECKED_WITHIN = "30s", "5s"


@dataclass(slots=True)
class Labels:
    """A container's labels, taken apart. Labels are read without regard to case."""

    routers: dict[str, Settings] = field(default_factory=dict)
    services: dict[str, Settings] = field(default_factory=dict)
    middlewares: dict[str, Settings] = field(default_factory=dict)

    def named(self, kind: str) -> dict[str, Settings] | None:
        return {"routers": self.routers, "services": self.services, "middlewares": self.middlewares}.get(kind)


def is_second(label: str) -> bool:
    return label.lower().startswith(("traefik.http.", "traefik.tcp.", "traefik.udp."))


def take_apart(draft: Draft) -> Labels:
    labels = Labels()
    for label in draft.written:
        path = label.lower().split(".")
        if path[0] != "traefik" or path[1:] in (["enable"], ["tags"]):
            continue
        named = labels.named(path[2]) if len(path) > 4 and path[1] == "http" else None
        if named is not None:
            same = named.setdefault(path[3], {}).setdefault(".".join(path[4:]), label)
            if same != label:
                draft.refuse(label, f"must be there once, and {same} says the same: case makes no difference")
            continue
        row = without(OTHERS, ".".join(path[1:]))
        if row is not None:
            remark(draft, row, label)
        else:
            draft.refuse(label, "must be a label that versions 2 and 3 of Traefik have")
    return labels


def translate_second(container: Container, settings: TraefikLabels, draft: Draft) -> bool:
    """False where nothing is left that takes part."""
    labels = take_apart(draft)
    own_name = normalized(container.traefik_name).lower()
    services = labels.services or {own_name: {}}
    taken = _service(services, labels.routers, container, draft)
    if taken is None:
        return False
    name, service = taken
    port = _port(service, container, draft)
    same = {other for other, one in services.items() if _port(one, container, draft) == port}
    middlewares = Middlewares(labels.middlewares, draft, settings.ignored_middlewares)
    routers: list[Router] = []
    rivals: list[Router] = []
    for router, its in sorted((labels.routers or {own_name: {}}).items()):
        made = _router(router, its, services, same, container, settings, draft)
        if made is not None:
            is_ours = not made.is_elsewhere and middlewares.let_through(router, its.get("middlewares"))
            (routers if is_ours else rivals).append(made)
    routers = without_calls_of(rivals, routers, draft, first=False)
    if not put_routes(draft, routers):
        return False
    draft.put(ENABLE, "true", PREFIX + "enable")
    draft.put(PORT, port, service.get(_SERVER_PORT, f"traefik.http.services.{name}.{_SERVER_PORT}"))
    if name in labels.services:
        draft.put(SERVICE, service_name_from(name), next(iter(service.values())))
    policies.put_tls(draft, service.get(_SERVER_SCHEME, ""), _scheme(service, draft))
    _put_service(service, draft)
    middlewares.put([router.name for router in routers if router.calls])
    return True


def _service(
    services: Mapping[str, Settings], routers: Mapping[str, Settings], container: Container, draft: Draft
) -> tuple[str, Settings] | None:
    """The one that the container is: of those to which Traefik speaks HTTP/2 the first that a router has."""
    used = [_without_provider(draft.written[its["service"]]) for its in routers.values() if "service" in its]
    grpc = {name: service for name, service in services.items() if _speaks_http2(name, service, draft)}
    if not grpc:
        return None
    first = min(grpc, key=lambda name: (name not in used, name))
    port = _port(grpc[first], container, draft)
    for name, service in grpc.items():
        if name != first:
            label = service.get(_SERVER_PORT, next(iter(service.values())))
            where = "" if _port(service, container, draft) == port else f"; give {name} a container of its own"
            draft.leave_out(label, f"a container is one service here, and {first} on port {port} is it{where}")
    return first, grpc[first]


def _speaks_http2(name: str, service: Settings, draft: Draft) -> bool:
    label = service.get(_SERVER_SCHEME, f"traefik.http.services.{name}.{_SERVER_SCHEME}")
    return policies.speaks_http2(draft, label, _scheme(service, draft))


def _scheme(service: Settings, draft: Draft) -> str:
    return _text(draft, service, _SERVER_SCHEME) or "http"


def _port(service: Settings, container: Container, draft: Draft) -> str:
    said = draft.written.get(service.get(_SERVER_PORT, ""), "").strip()
    return said or str(min(container.ports, default=""))


def _router(
    name: str,
    its: Settings,
    services: Mapping[str, Settings],
    same_port: set[str],
    container: Container,
    settings: TraefikLabels,
    draft: Draft,
) -> Router | None:
    rule_label = its.get("rule", f"traefik.http.routers.{name}.rule")
    for setting, label in its.items():
        row = without(ROUTERS, setting)
        if row is not None:
            remark(draft, row, label)
        elif setting not in ("rule", "priority", "service", "middlewares"):
            draft.refuse(label, "must be a setting that routers of Traefik have")
    service_label = its.get("service", f"traefik.http.routers.{name}.service")
    said = draft.written.get(service_label, "").strip()
    if not said and len(services) > 1:
        draft.refuse(
            service_label, f"must name one of the services {', '.join(sorted(services))}, where there are several"
        )
        return None
    is_elsewhere = said != "" and _without_provider(said) not in services
    if is_elsewhere:
        draft.leave_out(service_label, f"the service is not this container's: {', '.join(sorted(services))}")
    elif said and _without_provider(said) not in same_port:
        draft.leave_out(service_label, "the router goes with its service")
        return None
    rule = draft.written.get(rule_label, "")
    try:
        rule = rule if rule.strip() else fill_in(settings.default_rule, container)
    except NotReadable as error:
        draft.refuse(rule_label, f"must be there where default_rule must be {error}")
        return None
    priority_label = its.get("priority", "")
    priority = draft.written.get(priority_label, "").strip()
    calls = () if is_elsewhere else calls_of(draft, rule_label, rule, first=False)
    entry_points = entry_points_of(draft.written.get(its.get("entrypoints", ""), ""))
    return Router(name, rule_label, calls, priority, priority_label, rule, entry_points, is_elsewhere)


def _without_provider(name: str) -> str:
    """`orders@ecs` is `orders`: what another provider has keeps its @."""
    return name.strip().lower().removesuffix("@ecs").removesuffix("@docker")


def _put_service(service: Settings, draft: Draft) -> None:
    by_grpc = _text(draft, service, _HEALTH_CHECK + "mode").lower() == "grpc"
    if by_grpc:
        _put_health_check(service, draft)
    for setting, label in service.items():
        text = draft.written[label]
        if setting == "loadbalancer.strategy":
            policies.put_method(draft, label, text)
        elif setting == "loadbalancer.passivehealthcheck.maxfailedattempts":
            draft.put(policies.FAILURES_TO_REACH, text.strip(), label)
            draft.differs(label, "failed attempts count in a row, and only failures to reach the target")
        elif setting in _KNOWN or (by_grpc and setting in _KNOWN_OF_GRPC):
            continue
        elif (row := without(SERVICES, setting)) is not None:
            remark(draft, row, label)
        else:
            draft.refuse(label, "must be a setting that services of Traefik have")


_KNOWN = (_SERVER_PORT, _SERVER_SCHEME)
_KNOWN_OF_GRPC: Sequence[str] = tuple(_HEALTH_CHECK + name for name in ("mode", "interval", "timeout"))


def _put_health_check(service: Settings, draft: Draft) -> None:
    draft.put("grpc-lb.health-check", "true", service[_HEALTH_CHECK + "mode"])
    for name, default in (("interval", _CHECKED_EVERY), ("timeout", _CHECKED_WITHIN)):
        label = service.get(_HEALTH_CHECK + name, service[_HEALTH_CHECK + "mode"])
        text = draft.written[label] if _HEALTH_CHECK + name in service else default
        policies.put_time(draft, f"grpc-lb.health-check.{name}", label, text)


def _text(draft: Draft, settings: Settings, setting: str) -> str:
    return draft.written[settings[setting]].strip() if setting in settings else ""
