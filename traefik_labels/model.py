"""What is translated, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from grpc_lb_contract.labels.names import ENABLE as ENABLED
from grpc_lb_contract.labels.names import PORT, SERVICE

PREFIX = "traefik."
ENABLE = "traefik.enable"


class Outcome(StrEnum):
    """What became of something that a Traefik label asks for."""

    REJECTED = "rejected"
    """It cannot be read: Traefik would not take it either."""
    LEFT_OUT = "left out"
    """It has no counterpart."""
    DIFFERS = "differs"
    """Its counterpart is not quite the same."""
    NOT_NEEDED = "not needed"
    """It makes no difference here."""


@dataclass(frozen=True, slots=True, order=True)
class Remark:
    """What a Traefik label asks for and does not get as it stands, and why, and what to write instead.

    `value` is "" for a label that is not there and whose default is meant.
    """

    label: str
    value: str
    outcome: Outcome
    why: str

    def __str__(self) -> str:
        return f"{self.label}={self.value}: {self.outcome}: {self.why}"


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a task definition, as Traefik's ECS provider sees it.

    `ports` are the mapped container ports in the order of the definition, `ecs_service` None for tasks that no ECS
    service runs; those may have a `group` of their own, by default their family's.
    """

    labels: Mapping[str, str]
    name: str = "app"
    ecs_service: str | None = None
    family: str = ""
    ports: tuple[int, ...] = ()
    group: str | None = None

    @property
    def owner(self) -> str:
        """ECS's name for what its task belongs to: tasks of one owner differ by their revisions, in a deployment."""
        if self.ecs_service is not None:
            return f"service:{self.ecs_service}"
        return f"family:{self.family}" if self.group is None else self.group

    @property
    def traefik_name(self) -> str:
        """How the provider names it: https://github.com/traefik/traefik/blob/v3.6.0/pkg/provider/ecs/ecs.go

        >>> Container({}, name="app", ecs_service="rng").traefik_name
        'service-rng-app'
        """
        return f"{self.owner.replace(':', '-', 1)}-{self.name}"


@dataclass(frozen=True, slots=True)
class Translation:
    """The labels of ours that say what Traefik's say; none where there are none.

    `origins` tells for a label of ours which of Traefik's it comes from. A container that is several services has
    `others`, each with labels of its own and without remarks.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()
    others: tuple[Translation, ...] = ()


class Draft:
    """A translation in flight."""

    def __init__(self, written: Mapping[str, str]) -> None:
        self.written = written
        self.labels: dict[str, str] = {}
        self.origins: dict[str, str] = {}
        self.remarks: dict[Remark, None] = {}

    def beside(self) -> Draft:
        """One for another service of the container: with labels of its own, and the same remarks."""
        other = Draft(self.written)
        other.remarks = self.remarks
        return other

    def put(self, ours: str, value: str, origin: str) -> None:
        self.labels[ours] = value
        self.origins[ours] = origin

    def reject(self, label: str, why: str) -> None:
        self._remark(label, Outcome.REJECTED, why)

    def leave_out(self, label: str, why: str) -> None:
        self._remark(label, Outcome.LEFT_OUT, why)

    def differs(self, label: str, why: str) -> None:
        self._remark(label, Outcome.DIFFERS, why)

    def not_needed(self, label: str, why: str) -> None:
        self._remark(label, Outcome.NOT_NEEDED, why)

    def _remark(self, label: str, outcome: Outcome, why: str) -> None:
        self.remarks[Remark(label, self.written.get(label, ""), outcome, why)] = None

    def finished(self) -> Translation:
        first = (ENABLED, SERVICE, PORT)
        order = sorted(self.labels, key=lambda ours: first.index(ours) if ours in first else len(first))
        return Translation({ours: self.labels[ours] for ours in order}, self.origins, tuple(self.remarks))

    def passed_over(self) -> Translation:
        """The container does not take part, even where all do that say nothing."""
        return Translation({ENABLED: "false"}, {}, tuple(self.remarks))
