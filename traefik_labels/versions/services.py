"""What services of versions 2 and 3 say: where a container listens, and how calls are spread and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from traefik_labels import policies
from traefik_labels.configuration.labels import Settings
from traefik_labels.model import Container, Draft
from traefik_labels.unsupported import SERVICES, remark, unsupported_setting

_SERVER = "loadbalancer.server."
_PORT, _SCHEME, _URL, _WEIGHT = (_SERVER + name for name in ("port", "scheme", "url", "weight"))
_STRATEGY = "loadbalancer.strategy"
_TRANSPORT = "loadbalancer.serverstransport"
_HEALTH_CHECK = "loadbalancer.healthcheck."
# https://doc.traefik.io/traefik/v3.6/reference/routing-configuration/http/load-balancing/service/#health-check
_CHECKED_EVERY, _CHECKED_WITHIN = "30s", "5s"
_KNOWN = (_PORT, _SCHEME, _STRATEGY, _TRANSPORT, "middlewares")
_KNOWN_OF_GRPC: Sequence[str] = tuple(_HEALTH_CHECK + name for name in ("mode", "interval", "timeout"))


def are_whole(services: Mapping[str, Settings], container: Container, draft: Draft) -> bool:
    """Whether Traefik can make a server of the container for each: else it leaves the whole container out."""
    whole = True
    for name, its in services.items():
        label = next(iter(its.values()), f"traefik.http.services.{name}")
        where = "Traefik leaves out the whole container, and so is it here"
        if its and not any(setting.startswith("loadbalancer") for setting in its):
            draft.reject(label, f"must be of a service with loadbalancer settings; {where}")
            whole = False
        elif _text(draft, its, _URL) and (_text(draft, its, _SCHEME) or _text(draft, its, _PORT)):
            draft.reject(its[_URL], f"cannot be combined with server.scheme and server.port; {where}")
            whole = False
        elif not _text(draft, its, _URL) and not _text(draft, its, _PORT) and not container.ports:
            draft.reject(its.get(_PORT, f"traefik.http.services.{name}.{_PORT}"), f"must be there; {where}")
            whole = False
    return whole


def speaks_http2(name: str, its: Settings, draft: Draft) -> bool:
    """Whether gRPC can go to its servers."""
    if _text(draft, its, _URL):
        draft.leave_out(its[_URL], "the address of a server is that of its task")
        return False
    label = its.get(_SCHEME, f"traefik.http.services.{name}.{_SCHEME}")
    return policies.speaks_http2(draft, label, _text(draft, its, _SCHEME) or "http")


def port(name: str, its: Settings, container: Container, draft: Draft) -> tuple[str, str]:
    """The number, and the label that says it or would."""
    label = its.get(_PORT, f"traefik.http.services.{name}.{_PORT}")
    return draft.written.get(label, "") or str(min(container.ports, default="")), label


def has_no_weight(its: Settings, draft: Draft) -> bool:
    if int(_text(draft, its, _WEIGHT) or 1) > 0:
        return False
    draft.leave_out(its[_WEIGHT], "a server of weight 0 or less gets no call: the router is left out")
    return True


def are_reached_as_said(its: Settings, draft: Draft, ignored: Sequence[str]) -> bool:
    """Whether Traefik takes what is said of how its servers are reached and chosen."""
    strategy = _text(draft, its, _STRATEGY)
    if strategy and strategy not in policies.STRATEGIES:
        draft.reject(its[_STRATEGY], f"must be one of {', '.join(policies.STRATEGIES)}; Traefik leaves the service out")
        return False
    transport = _text(draft, its, _TRANSPORT)
    if transport and transport.lower() in map(str.lower, ignored):
        draft.not_needed(its[_TRANSPORT], "calls may go without it (ignored_middlewares)")
    elif transport:
        draft.leave_out(
            its[_TRANSPORT],
            f"{transport} is defined elsewhere, and may have certificates that servers ask for: the service is left "
            "out (name it in ignored_middlewares where calls may go without)",
        )
        return False
    return True


def put(name: str, its: Settings, draft: Draft) -> None:
    """Put the labels for what a service says."""
    policies.put_tls(draft, its.get(_SCHEME, f"traefik.http.services.{name}.{_SCHEME}"), _text(draft, its, _SCHEME))
    by_grpc = _text(draft, its, _HEALTH_CHECK + "mode").lower() == "grpc"
    if by_grpc:
        _put_health_check(its, draft)
    for setting, label in its.items():
        if setting == _STRATEGY:
            policies.put_method(draft, label, draft.written[label])
        elif setting == "loadbalancer.passivehealthcheck.maxfailedattempts":
            draft.put(policies.FAILURES_TO_REACH, draft.written[label], label)
            draft.differs(label, "failed attempts count in a row, and only failures to reach the target")
        elif setting in _KNOWN or (by_grpc and setting in _KNOWN_OF_GRPC):
            continue
        elif (row := unsupported_setting(SERVICES, setting)) is not None:
            remark(draft, row, label)
        else:
            draft.leave_out(label, "no label does this")


def _put_health_check(its: Settings, draft: Draft) -> None:
    draft.put("grpc-lb.health-check", "true", its[_HEALTH_CHECK + "mode"])
    for name, default in (("interval", _CHECKED_EVERY), ("timeout", _CHECKED_WITHIN)):
        label = its.get(_HEALTH_CHECK + name, its[_HEALTH_CHECK + "mode"])
        text = draft.written[label] if _HEALTH_CHECK + name in its else default
        policies.put_time(draft, f"grpc-lb.health-check.{name}", label, text)


def _text(draft: Draft, its: Settings, setting: str) -> str:
    return draft.written[its[setting]] if setting in its else ""
