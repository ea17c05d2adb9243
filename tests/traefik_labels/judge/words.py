"""Label sets in few words."""

from __future__ import annotations

from collections.abc import Mapping

from tests.traefik_labels.judge.sets import Box, Call, Job, LabelSet

A = "Host(`a.~`)"
R = "PathPrefix(`/rng.~.R/`)"
AUTH = {"middlewares.auth~.basicauth.users": "u:$apr1$abc$0123456789012345678901"}

_FULL = ("routers.", "services.", "middlewares.")


def full(labels: Mapping[str, str]) -> dict[str, str]:
    """`routers.`, `services.` and `middlewares.` stand for `traefik.http.routers.` and so on."""
    return {f"traefik.http.{name}" if name.startswith(_FULL) else name: value for name, value in labels.items()}


def box(
    rule: str | None = A,
    more: Mapping[str, str] | None = None,
    *,
    router: str = "r~",
    service: str = "s~",
    name: str = "app",
    ports: tuple[int, ...] = (50051,),
) -> Box:
    """A container with one router and one service of h2c, and more labels, of which "" takes one away."""
    labels = {f"services.{service}.loadbalancer.server.scheme": "h2c"}
    if rule is not None:
        labels[f"routers.{router}.rule"] = rule
    labels |= more or {}
    return Box({key: value for key, value in full(labels).items() if value != "(none)"}, name, ports)


def one(
    about: str,
    rule: str | None = A,
    more: Mapping[str, str] | None = None,
    *,
    calls: tuple[Call, ...] = (),
    alone: bool = False,
    ports: tuple[int, ...] = (50051,),
) -> LabelSet:
    """One container of one task."""
    return LabelSet(about, (Job((box(rule, more, ports=ports),)),), calls, alone)


def two(
    about: str,
    first: Box,
    second: Box,
    *,
    calls: tuple[Call, ...] = (),
    alone: bool = False,
) -> LabelSet:
    """Two ECS services, a task each."""
    return LabelSet(about, (Job((first,), service="one~"), Job((second,), service="two~")), calls, alone)


def other(rule: str | None, more: Mapping[str, str] | None = None) -> Box:
    """The container of another service, with names of its own."""
    return box(rule, more, router="q~", service="t~")
