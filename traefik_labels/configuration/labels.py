"""Decoded labels as routers, services and middlewares by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from traefik_labels.configuration.decode import Node

Settings = Mapping[str, str]
"""The names of labels, by what they set, in lower case: `loadbalancer.server.port`. Names keep their case: Traefik
tells `Rng` from `rng`.
"""


@dataclass(slots=True)
class Labels:
    routers: dict[str, Settings] = field(default_factory=dict)
    services: dict[str, Settings] = field(default_factory=dict)
    middlewares: dict[str, Settings] = field(default_factory=dict)
    with_tls: frozenset[str] = frozenset()
    """Routers for callers with TLS."""
    is_tcp_or_udp: bool = False


def labels_of(root: Node) -> Labels:
    http = root.child("http")
    kinds = {kind: _named(http.child(kind)) if http else {} for kind in ("routers", "services", "middlewares")}
    routers = (http.child("routers") if http else None) or Node("", "")
    with_tls = frozenset(one.name for one in routers.children if (tls := one.child("tls")) and not tls.is_off)
    others = (root.child(protocol) for protocol in ("tcp", "udp"))
    streams = any(one is not None and (one.child("routers") or one.child("services")) for one in others)
    return Labels(**kinds, with_tls=with_tls, is_tcp_or_udp=streams)


def _named(kind: Node | None) -> dict[str, Settings]:
    """`is_off` settings are none, but for their names: Traefik takes no heed of them."""
    if kind is None:
        return {}
    return {
        one.name: {path: leaf.label for path, leaf in one.leaves() if not leaf.is_off or path == "tls"}
        for one in kind.children
    }


def content_of(its: Settings, written: Mapping[str, str]) -> dict[str, object]:
    """What settings say, so that equal ones are equal however they are written."""
    return {setting: _value(setting, written[label]) for setting, label in its.items()}


def _value(setting: str, text: str) -> object:
    if setting in ("entrypoints", "middlewares", "chain.middlewares"):
        return tuple(part.strip() for part in text.split(",")) if text else ()
    return int(text) if setting == "priority" else text
