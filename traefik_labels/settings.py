"""How the Traefik is set up whose labels are read: the options of its ECS provider that say what labels mean."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from grpc_lb_contract.named_fields import NamedFields
from traefik_labels.grammar.syntax import NotReadable
from traefik_labels.model import Container
from traefik_labels.rules.constraints import constraint
from traefik_labels.rules.default_rule import DEFAULT_RULE, fill_in

_DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraefikLabels(NamedFields):
    """Reads Traefik's docker labels beside those of this library, as a Traefik with these options does.

    Raises ValueError for options that cannot be read.

    :param exposed_by_default: Whether containers take part without ``traefik.enable=true``. By default they do, as with
        Traefik; those only, though, to which Traefik speaks HTTP/2 (``traefik.protocol=h2c`` or a service's
        ``server.scheme=h2c``), because there is no gRPC without it.
    :param default_rule: The rule of routers of version 2 and 3 that have none, in Go's template language. By default
        the provider's, the host ``{{ normalize .Name }}``.
    :param domain: What follows the name in the host of frontends of version 1 that have no rule. By default, nothing.
    :param constraints: Which containers are taken: an expression of version 2 and 3 over labels, or ``tag==grpc`` and
        its like of version 1. By default, all.
    :param ignored_middlewares: Middlewares (and servers transports), as routers name them, that calls may go without.
        By default none: a router with one that has no counterpart and may keep callers out, or that is defined
        elsewhere, is left out.
    :param entry_points: The entry points by which the balancer's callers came to Traefik. By default none is known, and
        a router that names its entry points is left out: it may be for others than those callers.
    :param tls: Whether callers speak TLS to the balancer, so that routers with ``tls`` may be served. By default as
        the balancer has a ``certificate``; without one such routers are left out, as Traefik has them for TLS alone.
    :param version: 1, 2 or 3 where only labels of that version are to be read. By default, what each container has.
    """

    exposed_by_default: bool = True
    default_rule: str = DEFAULT_RULE
    domain: str | None = None
    constraints: str | None = None
    ignored_middlewares: Sequence[str] = ()
    version: int | None = None
    entry_points: Sequence[str] = ()
    tls: bool | None = None

    def __post_init__(self) -> None:
        for name in ("ignored_middlewares", "entry_points"):
            if isinstance(getattr(self, name), str) or not isinstance(getattr(self, name), Iterable):
                raise ValueError(f"{name} must be a list of names, got {getattr(self, name)!r}")  # noqa: TRY004 - as every other
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.version not in (None, 1, 2, 3):
            raise ValueError(f"version must be 1, 2 or 3, got {self.version!r}")
        if self.domain is not None and _DOMAIN.fullmatch(self.domain) is None:
            raise ValueError(f"domain must be a domain such as ecs.internal, got {self.domain!r}")
        try:
            fill_in(self.default_rule, Container({}))
        except NotReadable as error:
            raise ValueError(f"default_rule must be {error}, got {self.default_rule!r}") from None
        try:
            if self.constraints is not None:
                constraint(self.constraints)
        except NotReadable as error:
            raise ValueError(f"constraints must be {error}, got {self.constraints!r}") from None


def with_tls(settings: TraefikLabels, tls: bool) -> TraefikLabels:
    """These options, with callers that speak TLS or do not where nothing is said of it."""
    return settings if settings.tls is not None else dataclasses.replace(settings, tls=tls or None)


def to_json(settings: TraefikLabels) -> str:
    """What differs from the defaults, as one line."""
    said = {field.name: (getattr(settings, field.name), field.default) for field in dataclasses.fields(settings)}
    return json.dumps({name: value for name, (value, default) in said.items() if value != default}, sort_keys=True)


def from_json(text: str) -> TraefikLabels:
    """The inverse of `to_json`. Raises ValueError."""
    try:
        said: Any = json.loads(text)
    except ValueError:
        said = None
    known = {field.name for field in dataclasses.fields(TraefikLabels)}
    if not isinstance(said, dict) or not said.keys() <= known:
        raise ValueError(f"must be an object of {', '.join(sorted(known))}, got {text!r}")
    return TraefikLabels(**said)
