"""What labels were rejected, as the document carries them to the balancers: bounded, in a fixed order.

    {"rejected":["rng",3,"grpc-lb.port","0","must be 1..65535"]}   task family, revision, label, value, problem
    {"shadowed":["host * and gRPC service *","rng","rng-copy"]}       route, who holds it, who does not get it
    {"more":[12,0]}                                               how many more of each there are

Balancers need none of it to serve, so a record that cannot be read is left out and harms no target.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from grpc_lb_contract.document.parameter_json import parameter_json

MAX_OF_A_KIND = 50
MAX_BYTES_OF_A_KIND = 6 * 1024
"""In the document, whose index can name about 160 shards: notes take a few of them at most."""


class _Note(Protocol):
    @property
    def owner(self) -> str:
        """Whose note it is: of too many, everyone keeps some."""

    def record(self) -> dict[str, object]: ...


_N = TypeVar("_N", bound=_Note)


@dataclass(frozen=True, slots=True, order=True)
class RejectedLabel:
    """A docker label that is not applied. Long texts are cut."""

    family: str
    revision: int
    label: str
    value: str
    problem: str

    def __post_init__(self) -> None:
        _cut_fields(self, family=255, label=160, value=160, problem=320)

    @property
    def owner(self) -> str:
        return self.family

    def record(self) -> dict[str, object]:
        return {"rejected": [self.family, self.revision, self.label, self.value, self.problem]}


@dataclass(frozen=True, slots=True, order=True)
class ShadowedRoute:
    """A route, in words, that `loser` asks for and `holder` keeps. Long texts are cut."""

    route: str
    holder: str
    loser: str

    def __post_init__(self) -> None:
        _cut_fields(self, route=400, holder=63, loser=63)

    @property
    def owner(self) -> str:
        return self.loser

    def record(self) -> dict[str, object]:
        return {"shadowed": [self.route, self.holder, self.loser]}


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """`more_rejected` and `more_shadowed` count those left out beyond `MAX_OF_A_KIND` or `MAX_BYTES_OF_A_KIND`."""

    rejected_labels: tuple[RejectedLabel, ...] = ()
    shadowed: tuple[ShadowedRoute, ...] = ()
    more_rejected: int = 0
    more_shadowed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rejected_labels", tuple(sorted(set(self.rejected_labels))))
        object.__setattr__(self, "shadowed", tuple(sorted(set(self.shadowed))))

    @classmethod
    def of(cls, rejected_labels: Iterable[RejectedLabel], shadowed: Iterable[ShadowedRoute]) -> Diagnostics:
        """As many as a document may hold, and how many more there are."""
        some_rejected, more_rejected = _bounded(rejected_labels)
        some_shadowed, more_shadowed = _bounded(shadowed)
        return cls(some_rejected, some_shadowed, more_rejected, more_shadowed)

    def __add__(self, other: Diagnostics) -> Diagnostics:
        joined = Diagnostics.of((*self.rejected_labels, *other.rejected_labels), (*self.shadowed, *other.shadowed))
        return Diagnostics(
            joined.rejected_labels,
            joined.shadowed,
            joined.more_rejected + self.more_rejected + other.more_rejected,
            joined.more_shadowed + self.more_shadowed + other.more_shadowed,
        )

    @property
    def rejected_count(self) -> int:
        return len(self.rejected_labels) + self.more_rejected

    @property
    def shadowed_count(self) -> int:
        return len(self.shadowed) + self.more_shadowed


def diagnostic_records(notes: Diagnostics) -> Iterator[dict[str, object]]:
    yield from (label.record() for label in notes.rejected_labels)
    yield from (route.record() for route in notes.shadowed)
    if notes.more_rejected or notes.more_shadowed:
        yield {"more": [notes.more_rejected, notes.more_shadowed]}


class DiagnosticsBuilder:
    """Takes the notes out of a document's records."""

    def __init__(self) -> None:
        self._rejected: list[RejectedLabel] = []
        self._shadowed: list[ShadowedRoute] = []
        self._more = (0, 0)

    def takes(self, record: Mapping[str, Any]) -> bool:
        """Whether the record is a note, readable or not."""
        match record:
            case {"rejected": [str(family), int(revision), str(label), str(value), str(problem), *_]} if _is_count(
                revision
            ):
                self._rejected.append(RejectedLabel(family, revision, label, value, problem))
            case {"shadowed": [str(route), str(holder), str(loser), *_]}:
                self._shadowed.append(ShadowedRoute(route, holder, loser))
            case {"more": [int(rejected_labels), int(shadowed), *_]} if _is_count(rejected_labels) and _is_count(
                shadowed
            ):
                self._more = (max(0, rejected_labels), max(0, shadowed))
            case {"rejected": _} | {"shadowed": _} | {"more": _}:
                pass
            case _:
                return False
        return True

    def built(self) -> Diagnostics:
        return Diagnostics(tuple(self._rejected), tuple(self._shadowed), *self._more)


def _is_count(value: int) -> bool:
    return not isinstance(value, bool)


def cut(text: str, max_bytes: int) -> str:
    """A text of at most so many bytes in JSON that escapes all but ASCII; … ends one that was longer."""
    text = text.encode(errors="replace").decode()  # half of a surrogate pair would not come back as it was
    if _size(text) <= max_bytes:
        return text
    text = text[:max_bytes]
    while _size(f"{text}…") > max_bytes:
        text = text[:-1]
    return f"{text}…"


def _size(text: str) -> int:
    return len(parameter_json(text)) - 2


def _cut_fields(note: object, **max_bytes: int) -> None:
    for name, most in max_bytes.items():
        object.__setattr__(note, name, cut(getattr(note, name), most))


def _bounded(notes: Iterable[_N]) -> tuple[tuple[_N, ...], int]:
    every: list[_N] = sorted(set(notes))  # type: ignore[type-var]  # both kinds are ordered dataclasses
    kept: list[_N] = []
    left = MAX_BYTES_OF_A_KIND
    for note in _in_turn(every):
        left -= len(parameter_json(note.record()))
        if left < 0 or len(kept) == MAX_OF_A_KIND:
            break
        kept.append(note)
    return tuple(kept), len(every) - len(kept)


def _in_turn(notes: Iterable[_N]) -> list[_N]:
    """One of each owner, then the second of each, so that the many of one do not hide the one of another."""
    had: Counter[str] = Counter()
    turns: list[tuple[int, _N]] = []
    for note in notes:
        turns.append((had[note.owner], note))
        had[note.owner] += 1
    return [note for _, note in sorted(turns, key=lambda turn: turn[0])]
