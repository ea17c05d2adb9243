"""Labels of version 1: `traefik.port`, `traefik.frontend.rule`, `traefik.backend`, and their like of segments.

https://doc.traefik.io/traefik/v1.7/configuration/backends/ecs/#labels-overriding-default-behavior
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from grpc_lb_contract import service_name_from
from grpc_lb_contract.labels.names import WEIGHT
from traefik_labels import policies
from traefik_labels.cluster.parts import Part, Router, Served
from traefik_labels.model import PREFIX, Container, Draft
from traefik_labels.routes import entry_points_of, keep_out_by_entry_point, read_first_calls
from traefik_labels.rules.default_rule import first_default_rule, normalized
from traefik_labels.settings import TraefikLabels
from traefik_labels.unsupported import V1, remark, unsupported_setting

_OWN = r"port|protocol|weight|domain|tags|enable|backend(?:\..+)?|frontend\..+"
V1_LABEL = re.compile(rf"traefik\.(?:{_OWN})")
_SEGMENT_LABEL = re.compile(r"traefik\.([^.]+)\.((?:port|protocol|weight|domain|backend|frontend)(?:\..+)?)")
_RATE = re.compile(r"frontend\.rateLimit\.rateSet\.([^.]+)\.(period|average|burst)")


@dataclass(frozen=True, slots=True)
class Segment:
    """A frontend and its backend. `labels` are the names of the labels by what follows `traefik.` or `traefik.NAME.`;
    "" is the name of the segment that has none.
    """

    name: str
    labels: Mapping[str, str]

    def label(self, setting: str) -> str:
        """Its name; that of the one which would say it where none does."""
        return self.labels.get(setting, PREFIX + (f"{self.name}." if self.name else "") + setting)


def is_v1(label: str) -> bool:
    """Whether a label is one of version 1 and of no other."""
    if label in (PREFIX + "enable", PREFIX + "tags"):
        return False
    return V1_LABEL.fullmatch(label) is not None or _is_of_segment(label)


def _is_of_segment(label: str) -> bool:
    found = _SEGMENT_LABEL.fullmatch(label)
    return found is not None and found[1] not in ("frontend", "backend", "http", "tcp", "udp", "docker", "ecs")


def segments_of(labels: Mapping[str, str]) -> list[Segment]:
    """By name. What is said without a segment holds for each that says nothing else:
    https://github.com/traefik/traefik/blob/v1.7.34/provider/label/segment.go
    """
    common = {label.removeprefix(PREFIX): label for label in labels if V1_LABEL.fullmatch(label)}
    own: dict[str, dict[str, str]] = {}
    for label in labels:
        if V1_LABEL.fullmatch(label) is None and _is_of_segment(label):
            _, name, setting = label.split(".", 2)
            own.setdefault(name, {})[setting] = label
    if not own:
        return [Segment("", common)]
    return [Segment(name, {**common, **own[name]}) for name in sorted(own)]


def read_v1(container: Container, settings: TraefikLabels, draft: Draft) -> Part:
    segments = segments_of(draft.written)
    _name_others(draft)
    grpc = [segment for segment in segments if _speaks_http2(segment, draft)]
    routers = [router for segment in segments if (router := _router(segment, container, settings, draft, grpc))]
    served = [_served(segment, container, draft, alone=len(grpc) == 1) for segment in grpc]
    return Part(container, draft, routers, served)


def _served(segment: Segment, container: Container, draft: Draft, *, alone: bool) -> Served:
    label = segment.label("backend")
    said = draft.written.get(label, "").strip()
    default = container.ecs_service or container.family or container.name

    def put(into: Draft, _routers: list[Router]) -> None:
        policies.put_tls(into, segment.label("protocol"), _protocol(segment, into))
        for setting, one in segment.labels.items():
            if setting in _READERS:
                _READERS[setting](into, one, into.written[one], segment)
        _rate_limit(into, segment)

    wanted = service_name_from(said or (default if alone else f"{default}-{segment.name}"))
    backend, port = _backend_of(segment, container, draft), _port(segment, container)
    return Served(backend, wanted, bool(said) or not alone, label, port, segment.label("port"), put)


def _backend_of(segment: Segment, container: Container, draft: Draft) -> str:
    """Traefik's name of it: https://github.com/traefik/traefik/blob/v1.7.34/provider/ecs/config.go"""
    said = draft.written.get(segment.label("backend"), "").strip()
    name = normalized(said) if said else "-".join(filter(None, (container.traefik_name, segment.name)))
    return f"backend-{name}"


def _router(
    segment: Segment, container: Container, settings: TraefikLabels, draft: Draft, grpc: Sequence[Segment]
) -> Router | None:
    written = draft.written
    rule_label, priority_label = segment.label("frontend.rule"), segment.label("frontend.priority")
    rule = written.get(rule_label) or first_default_rule(
        container, written.get(segment.label("domain")) or settings.domain
    )
    entry_label = segment.label("frontend.entryPoints")
    router = Router(
        segment.name or "frontend",
        rule_label,
        rule,
        draft,
        service=_backend_of(segment, container, draft),
        said_priority=written.get(priority_label, "").strip(),
        priority_label=priority_label,
        entry_points=entry_points_of(written.get(entry_label, "")),
    )
    if not read_first_calls(router, tells=segment in grpc):
        return None
    if segment not in grpc:
        router.keep_out(checks=False)
        return router
    if _is_kept_out(segment, draft):
        router.keep_out()
    keep_out_by_entry_point(router, entry_label, settings)
    return router


def _port(segment: Segment, container: Container) -> str:
    said = container.labels.get(segment.label("port"), "").strip()
    return said or str(next(iter(container.ports), ""))


def _speaks_http2(segment: Segment, draft: Draft) -> bool:
    label = segment.label("protocol")
    return policies.speaks_http2(draft, label, _protocol(segment, draft))


def _protocol(segment: Segment, draft: Draft) -> str:
    return draft.written.get(segment.label("protocol"), "http").strip()


def _weight(draft: Draft, label: str, text: str, _segment: Segment) -> None:
    draft.put(WEIGHT, text.strip(), label)
    draft.differs(label, "it weighs each task; here it weighs the ECS service as a whole, however many tasks it has")


def _method(draft: Draft, label: str, text: str, _segment: Segment) -> None:
    policies.put_method(draft, label, text)


def _breaker(draft: Draft, label: str, text: str, _segment: Segment) -> None:
    policies.put_breaker(draft, label, text)


def _most(draft: Draft, label: str, text: str, segment: Segment) -> None:
    by_label = segment.label("backend.maxconn.extractorfunc")
    by = draft.written.get(by_label, "request.host").strip()
    if by != "request.host":
        draft.leave_out(label, policies.PER_CLIENT.format(ours=policies.REQUESTS))
        return
    draft.put(policies.REQUESTS, text.strip(), label)
    draft.differs(label, "it holds for each host; here for all calls of the service in flight in one balancer")


def _most_by(draft: Draft, label: str, text: str, segment: Segment) -> None:
    if "backend.maxconn.amount" not in segment.labels:
        draft.not_needed(label, "without backend.maxconn.amount it says nothing")
    elif text.strip() != "request.host":
        draft.leave_out(label, "only request.host has a counterpart")


def _rate_limit(draft: Draft, segment: Segment) -> None:
    rates: dict[str, dict[str, str]] = {}
    for setting, label in segment.labels.items():
        if found := _RATE.fullmatch(setting):
            rates.setdefault(found[1], {})[found[2]] = label
    by = draft.written.get(segment.label("frontend.rateLimit.extractorFunc"), "").strip()
    for position, (_, labels) in enumerate(sorted(rates.items())):
        label = labels.get("average", next(iter(labels.values())))
        texts = {name: draft.written[one] for name, one in labels.items()}
        if by != "request.host":
            draft.leave_out(label, policies.PER_CLIENT.format(ours=policies.CALLS_PER_SECOND))
        elif position:
            draft.leave_out(label, "a service has one rate here, the first by name")
        else:
            policies.put_rate(
                draft,
                label,
                average=texts.get("average", ""),
                period=texts.get("period", "1s"),
                burst=texts.get("burst", ""),
                burst_label=labels.get("burst", label),
            )


def _is_kept_out(segment: Segment, draft: Draft) -> bool:
    """Name what has no counterpart; whether that takes the frontend out."""
    kept_out = False
    for setting, label in segment.labels.items():
        row = unsupported_setting(V1, setting)
        if row is not None:
            remark(draft, row, label)
            kept_out |= row.drops_router
        elif setting not in READ and _RATE.fullmatch(setting) is None:
            draft.reject(label, "must be a label that version 1 of Traefik has")
    return kept_out


def _name_others(draft: Draft) -> None:
    """Labels that are neither of version 1 nor of a segment."""
    for label in draft.written:
        if label.startswith(PREFIX) and V1_LABEL.fullmatch(label) is None and not _is_of_segment(label):
            row = unsupported_setting(V1, label.removeprefix(PREFIX))
            if row is None:
                draft.reject(label, "must be a label that version 1 of Traefik has")
            else:
                remark(draft, row, label)


Reader = Callable[[Draft, str, str, Segment], None]
_READERS: dict[str, Reader] = {
    "weight": _weight,
    "backend.loadbalancer.method": _method,
    "backend.circuitbreaker.expression": _breaker,
    "backend.circuitbreaker": _breaker,
    "backend.maxconn.amount": _most,
    "backend.maxconn.extractorfunc": _most_by,
}
READ = frozenset(_READERS) | {
    "enable",
    "tags",
    "domain",
    "backend",
    "frontend.entryPoints",
    "port",
    "protocol",
    "frontend.rule",
    "frontend.priority",
    "frontend.rateLimit.extractorFunc",
}
