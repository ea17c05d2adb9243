"""What the journal holds: what became of a target, each change of the document, and each rejected resource."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from grpc_lb_contract import Cause, Target

MAX_NAMED = 50


class What(StrEnum):
    """What can become of a target."""

    JOINED = "joined"
    DRAINING = "draining"
    EJECTED = "ejected"
    UNHEALTHY = "unhealthy"
    RETURNED = "returned"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class TargetEvent:
    at: float
    """Seconds since 1970, as everywhere in the journal."""
    what: What
    why: str


@dataclass(frozen=True, slots=True, order=True)
class TargetId:
    """A target over its whole life: a task that is given the address of an earlier one is another target."""

    service: str
    address: str
    task: str


@dataclass(frozen=True, slots=True)
class Change:
    """One document that was put into use. The lists hold the first MAX_NAMED; the counts are whole.

    `is_first` marks the first since the control plane started, whose cause may be long past. `envoy_at` is when Envoy
    had taken all of it, None where it has not, or a newer one came first. `event_to_envoy_seconds` compares the clock
    of ECS with this machine's.
    """

    at: float
    generation: str
    origin: str
    services: int
    targets: int
    joined_count: int
    left_count: int
    drained_count: int
    joined: tuple[str, ...]
    left: tuple[str, ...]
    drained: tuple[str, ...]
    settings: tuple[str, ...] = ()
    """What else changed: services that came or went, their routes, weights or policies; the first MAX_NAMED."""
    cause: Cause | None = None
    is_first: bool = False
    envoy_at: float | None = None
    event_to_envoy_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    at: float
    audience: str
    resource_type: str
    node: str
    error: str


def identity(service: str, target: Target) -> TargetId:
    return TargetId(service, target.address, target.task)
