"""What labels asked for in vain, as the document tells it to whoever looks at a balancer: bounded, in a fixed order.

    {"refused":["rng",3,"grpc-lb.port","0","must be 1..65535"]}   task family, revision, label, value, problem
    {"lost":["host * and gRPC service *","rng","rng-copy"]}       route, who holds it, who asks for it in vain
    {"more":[12,0]}                                               how many more of each there are

Balancers need none of it to serve, so a record that cannot be read is left out and harms no target.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

MOST_OF_A_KIND = 50
MOST_BYTES_OF_A_KIND = 6 * 1024
"""In the document, whose index can name about 240 shards of 2 to 4 KB: notes take a few of them at most."""


class _Note(Protocol):
    @property
    def owner(self) -> str:
        """Whose note it is: of too many, everyone keeps some."""

    def record(self) -> dict[str, object]: ...


_N = TypeVar("_N", bound=_Note)


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """A docker label that is not obeyed. Long texts are cut."""

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
        return {"refused": [self.family, self.revision, self.label, self.value, self.problem]}


@dataclass(frozen=True, slots=True, order=True)
class LostRoute:
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
        return {"lost": [self.route, self.holder, self.loser]}


@dataclass(frozen=True, slots=True)
class Notes:
    """`more_refusals` and `more_lost` count those left out beyond `MOST_OF_A_KIND` or `MOST_BYTES_OF_A_KIND`."""

    refusals: tuple[Refusal, ...] = ()
    lost: tuple[LostRoute, ...] = ()
    more_refusals: int = 0
    more_lost: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "refusals", tuple(sorted(set(self.refusals))))
        object.__setattr__(self, "lost", tuple(sorted(set(self.lost))))

    @classmethod
    def of(cls, refusals: Iterable[Refusal], lost: Iterable[LostRoute]) -> Notes:
        """As many as a document may hold, and how many more there are."""
        some_refusals, more_refusals = _bounded(refusals)
        some_lost, more_lost = _bounded(lost)
        return cls(some_refusals, some_lost, more_refusals, more_lost)

    def __add__(self, other: Notes) -> Notes:
        joined = Notes.of((*self.refusals, *other.refusals), (*self.lost, *other.lost))
        return Notes(
            joined.refusals,
            joined.lost,
            joined.more_refusals + self.more_refusals + other.more_refusals,
            joined.more_lost + self.more_lost + other.more_lost,
        )

    @property
    def refusal_count(self) -> int:
        return len(self.refusals) + self.more_refusals

    @property
    def lost_count(self) -> int:
        return len(self.lost) + self.more_lost


def note_records(notes: Notes) -> Iterator[dict[str, object]]:
    yield from (refusal.record() for refusal in notes.refusals)
    yield from (lost.record() for lost in notes.lost)
    if notes.more_refusals or notes.more_lost:
        yield {"more": [notes.more_refusals, notes.more_lost]}


class NotesBuilder:
    """Takes the notes out of a document's records."""

    def __init__(self) -> None:
        self._refusals: list[Refusal] = []
        self._lost: list[LostRoute] = []
        self._more = (0, 0)

    def takes(self, record: Mapping[str, Any]) -> bool:
        """Whether the record is a note, readable or not."""
        match record:
            case {"refused": [str(family), int(revision), str(label), str(value), str(problem), *_]} if _is_count(
                revision
            ):
                self._refusals.append(Refusal(family, revision, label, value, problem))
            case {"lost": [str(route), str(holder), str(loser), *_]}:
                self._lost.append(LostRoute(route, holder, loser))
            case {"more": [int(refusals), int(lost), *_]} if _is_count(refusals) and _is_count(lost):
                self._more = (max(0, refusals), max(0, lost))
            case {"refused": _} | {"lost": _} | {"more": _}:
                pass
            case _:
                return False
        return True

    def built(self) -> Notes:
        return Notes(tuple(self._refusals), tuple(self._lost), *self._more)


def _is_count(value: int) -> bool:
    return not isinstance(value, bool)


def cut(text: str, most_bytes: int) -> str:
    """A text of at most so many bytes in JSON that escapes all but ASCII; … ends one that was longer."""
    text = text.encode(errors="replace").decode()  # half of a surrogate pair would not come back as it was
    if _size(text) <= most_bytes:
        return text
    text = text[:most_bytes]
    while _size(f"{text}…") > most_bytes:
        text = text[:-1]
    return f"{text}…"


def _size(text: str) -> int:
    return len(json.dumps(text)) - 2


def _cut_fields(note: object, **most_bytes: int) -> None:
    for name, most in most_bytes.items():
        object.__setattr__(note, name, cut(getattr(note, name), most))


def _bounded(notes: Iterable[_N]) -> tuple[tuple[_N, ...], int]:
    every: list[_N] = sorted(set(notes))  # type: ignore[type-var]  # both kinds are ordered dataclasses
    kept: list[_N] = []
    left = MOST_BYTES_OF_A_KIND
    for note in _in_turn(every):
        left -= len(json.dumps(note.record()))
        if left < 0 or len(kept) == MOST_OF_A_KIND:
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
