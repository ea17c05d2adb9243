"""Labels of versions 2 and 3: `traefik.http.routers.*`, `.services.*` and `.middlewares.*`.

https://doc.traefik.io/traefik/v3.6/reference/routing-configuration/other-providers/ecs/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from grpc_lb_contract import service_name_from
from traefik_labels.cluster.parts import Defined, Part, Router, Served
from traefik_labels.configuration.decode import CannotDecode, decode
from traefik_labels.configuration.labels import Labels, Settings, content_of, labels_of
from traefik_labels.grammar.syntax import NotReadable
from traefik_labels.model import Container, Draft
from traefik_labels.routes import entry_points_of, keep_out_by_entry_point, read_calls
from traefik_labels.rules.default_rule import fill_in, normalized
from traefik_labels.rules.dialects import read_rule
from traefik_labels.settings import TraefikLabels
from traefik_labels.unsupported import OTHERS, ROUTERS, remark, unsupported_setting
from traefik_labels.versions import services
from traefik_labels.versions.middlewares import Middlewares


def is_v2(label: str) -> bool:
    return label.lower().startswith(("traefik.http.", "traefik.tcp.", "traefik.udp."))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A container in flight."""

    container: Container
    settings: TraefikLabels
    draft: Draft
    labels: Labels
    services: Mapping[str, Settings]
    grpc: frozenset[str]
    """Those to which Traefik speaks HTTP/2."""


def read_v2(container: Container, settings: TraefikLabels, draft: Draft) -> Part | None:
    """None where the container takes no part, whatever other containers say."""
    try:
        root = decode(draft.written)
    except CannotDecode as error:
        draft.reject(error.label, f"must be {error}; Traefik leaves out the whole container, and so is it here")
        return None
    for label, other in root.overwritten:
        draft.reject(label, f"must be there once, and {other} says the same: case makes no difference")
    labels = labels_of(root)
    _remark_others(draft)
    name = normalized(container.traefik_name)
    if labels.is_tcp_or_udp and not (labels.routers or labels.services or labels.middlewares):
        return None
    found = labels.services or {name: {}}
    if not services.are_whole(found, container, draft):
        return None
    grpc = frozenset(one for one, its in found.items() if services.speaks_http2(one, its, draft))
    seen = _Seen(container, settings, draft, labels, found, grpc)
    middlewares = Middlewares(labels.middlewares, draft, settings.ignored_middlewares, frozenset(found))
    said = labels.routers or ({} if len(found) > 1 else {name: {}})
    routers = [router for router in (_router(one, its, seen) for one, its in sorted(said.items())) if router]
    for router in routers:
        its = said[router.name]
        of_service = found.get(router.service, {}).get("middlewares")
        if not middlewares.let_through(router.name, [its.get("middlewares"), of_service]):
            router.keep_out()
    return Part(
        container,
        draft,
        routers,
        served=[_served(one, seen, middlewares) for one in sorted(grpc)],
        defined=list(_defined(routers, said, seen)),
        uses={router.name: middlewares.used_by(router.name) for router in routers},
    )


def _served(name: str, seen: _Seen, middlewares: Middlewares) -> Served:
    its = seen.services[name]

    def put(draft: Draft, routers: list[Router]) -> None:
        services.put(name, its, draft)
        middlewares.put([router.name for router in routers], draft)

    is_said = name in seen.labels.services
    wanted = service_name_from(name if is_said else _default_name(seen.container))
    label = next(iter(its.values()), f"traefik.http.services.{name}")
    return Served(name, wanted, is_said, label, *services.port(name, its, seen.container, seen.draft), put)


def _default_name(container: Container) -> str:
    return container.ecs_service or container.family or container.name


def _remark_others(draft: Draft) -> None:
    for label in draft.written:
        path = label.lower().split(".")
        is_http = path[:2] == ["traefik", "http"] and len(path) > 3
        if path[0] != "traefik" or is_http or path[1:] in (["enable"], ["tags"]):
            continue
        row = unsupported_setting(OTHERS, ".".join(path[1:]))
        if row is not None:
            remark(draft, row, label)
        else:
            draft.reject(label, "must be a label that versions 2 and 3 of Traefik have")


def _router(name: str, its: Settings, seen: _Seen) -> Router | None:
    draft, written = seen.draft, seen.draft.written
    rule_label = its.get("rule", f"traefik.http.routers.{name}.rule")
    service = _service_of(name, its, seen)
    if service is None:
        return None
    try:
        rule = written.get(rule_label, "") or fill_in(seen.settings.default_rule, seen.container)
    except NotReadable as error:
        draft.reject(rule_label, f"must be there where default_rule must be {error}")
        return None
    priority_label = its.get("priority", "")
    router = Router(
        name,
        rule_label,
        rule,
        draft,
        service=service,
        said_priority=written.get(priority_label, ""),
        priority_label=priority_label,
        entry_points=entry_points_of(written.get(its.get("entrypoints", ""), "")),
    )
    if router.priority > _HIGHEST:
        draft.reject(priority_label, f"must be at most {_HIGHEST}; Traefik leaves the router out")
        return None
    syntax = _syntax(its, seen)
    is_read = read_calls(router, lambda text: read_rule(text, syntax), tells=service in seen.grpc)
    if not is_read:
        return None
    _keep_out(router, its, seen)
    return router


_HIGHEST = 2**63 - 1 - 1000
"""https://github.com/traefik/traefik/blob/v3.7.0/pkg/server/router/router.go"""


def _syntax(its: Settings, seen: _Seen) -> int | None:
    said = seen.draft.written.get(its.get("rulesyntax", ""), "")
    if said in ("v2", "v3"):
        return int(said[1])
    return seen.settings.version


def _service_of(name: str, its: Settings, seen: _Seen) -> str | None:
    """Traefik's name of the service to which a router goes; None where Traefik leaves the router out."""
    label = its.get("service", f"traefik.http.routers.{name}.service")
    said = seen.draft.written.get(label, "")
    if said:
        return said.removesuffix("@ecs")
    if len(seen.services) > 1:
        seen.draft.reject(
            label, f"must name one of the services {', '.join(sorted(seen.services))}, where there are several"
        )
        return None
    return next(iter(seen.services))


def _keep_out(router: Router, its: Settings, seen: _Seen) -> None:
    draft, settings = seen.draft, seen.settings
    for setting, label in its.items():
        row = unsupported_setting(ROUTERS, setting)
        if row is not None:
            remark(draft, row, label)
    keep_out_by_entry_point(router, its.get("entrypoints", ""), settings)
    _keep_out_by_tls(router, its, seen)
    label = its.get("service", f"traefik.http.routers.{router.name}.service")
    if router.service not in seen.services:
        draft.leave_out(label, f"the service is not this container's: {', '.join(sorted(seen.services))}")
        router.keep_out(checks=False)
    elif router.service not in seen.grpc:
        if seen.grpc:
            draft.leave_out(label, "the router goes with its service, to which Traefik speaks HTTP/1.1")
        router.keep_out(checks=False)
    elif services.has_no_weight(seen.services[router.service], draft):
        router.keep_out(checks=False)
    elif not services.are_reached_as_said(seen.services[router.service], draft, settings.ignored_middlewares):
        router.keep_out()


def _keep_out_by_tls(router: Router, its: Settings, seen: _Seen) -> None:
    labels = [label for setting, label in its.items() if setting == "tls" or setting.startswith("tls.")]
    if not labels or router.name not in seen.labels.with_tls:
        return
    options = its.get("tls.options", "")
    if seen.settings.tls is not True:
        why = "Traefik serves it to callers with TLS alone: it is left out; give the balancer a certificate"
        router.draft.leave_out(labels[0], why)
        router.keep_out()
        router.is_apart = True
    elif seen.draft.written.get(options, "") not in ("", "default"):
        why = "it may ask callers for a certificate, and nothing here does: the router is left out"
        router.draft.leave_out(options, why)
        router.keep_out()
    else:
        router.draft.not_needed(labels[0], "the balancer's own certificate decides about TLS, for all services")


def _defined(routers: list[Router], said: Mapping[str, Settings], seen: _Seen) -> list[Defined]:
    written = seen.draft.written
    found = [
        Defined(
            "router",
            router.name,
            content_of(said[router.name], written) | {"rule": router.rule, "service": router.service},
            router.label,
        )
        for router in routers
    ]
    for kind, named in (("service", seen.services), ("middleware", seen.labels.middlewares)):
        for name, its in named.items():
            content = content_of({key: label for key, label in its.items() if ".server." not in key}, written)
            found.append(Defined(kind, name, content, next(iter(its.values()), f"traefik.http.{kind}s.{name}")))
    return found
