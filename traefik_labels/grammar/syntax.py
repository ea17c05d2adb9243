"""The trees of what Traefik's labels hold: rules, constraints, circuit breakers, templates of default rules."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TypeAlias


class NotReadable(ValueError):  # noqa: N818 - the name says what is the matter
    """A text that the grammar does not fit. Its message goes on after "must be"."""


class TooMuch(NotReadable):
    """A text that Traefik may well read, and that is too long or too deep here."""


class CannotBeReadAt(ValueError):  # noqa: N818
    """Where the grammar does not fit: a character's number, from 1, or 0 where the text ends too early."""

    def __init__(self, column: int) -> None:
        super().__init__(f"cannot be read at character {column}")
        self.column = column


@dataclass(frozen=True, slots=True)
class Call:
    """``Host(`a`)``, with the texts or numbers between the parentheses."""

    name: str
    arguments: tuple[str, ...]
    has_numbers: bool = field(default=False, compare=False, repr=False)
    """Among the arguments, where only circuit breakers may have some."""
    depth: int = field(default=1, init=False, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(quoted, self.arguments))})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`NetworkErrorRatio() > 0.5`"""

    call: Call
    operator: str
    number: float
    literal: str = field(default="", compare=False, repr=False)
    """The number as it is written: 1 and 1.0 are of two types."""
    depth: int = field(default=1, init=False, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.call} {self.operator} {self.number:g}"


@dataclass(frozen=True, slots=True)
class Not:
    """`!` before anything but another `!`."""

    what: Expression
    depth: int = field(default=0, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", 1 + self.what.depth)

    def __str__(self) -> str:
        return f"!{_in_parentheses(self.what)}"


@dataclass(frozen=True, slots=True)
class And:
    """What stands between `&&`: two or more."""

    all: tuple[Expression, ...]
    depth: int = field(default=0, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", 1 + max(part.depth for part in self.all))

    def __str__(self) -> str:
        return " && ".join(map(_in_parentheses, self.all))


@dataclass(frozen=True, slots=True)
class Or:
    """What stands between `||`: two or more."""

    any: tuple[Expression, ...]
    depth: int = field(default=0, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", 1 + max(part.depth for part in self.any))

    def __str__(self) -> str:
        return " || ".join(map(_in_parentheses, self.any))


Expression: TypeAlias = Call | Comparison | Not | And | Or


@dataclass(frozen=True, slots=True)
class Tag:
    """`tag==us-*`: a constraint of version 1."""

    name: str
    operator: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`.Name | trimPrefix "/" | normalize`: each command its words, a word in parentheses a pipeline of its own."""

    commands: tuple[tuple[Word, ...], ...]


@dataclass(frozen=True, slots=True)
class Field:
    """`.Name`, without the dot."""

    name: str


@dataclass(frozen=True, slots=True)
class Name:
    """A function."""

    name: str


Word: TypeAlias = str | Field | Name | Pipeline
Template: TypeAlias = tuple[str | Pipeline, ...]


def quoted(text: str) -> str:
    """As an argument: in backticks where it holds none."""
    return json.dumps(text, ensure_ascii=False) if "`" in text else f"`{text}`"


def _in_parentheses(expression: Expression) -> str:
    return f"({expression})" if isinstance(expression, And | Or | Comparison) else str(expression)
