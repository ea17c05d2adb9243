"""What a setting may hold: how a label's text is read, how a value is written, and the rule that errors tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, dataclass, field, fields
from datetime import timedelta
from enum import Enum, StrEnum
from functools import cache
from typing import Any, Self, TypeVar

from grpc_lb_contract.named_fields import NamedFields
from grpc_lb_contract.names import is_grpc_service

T = TypeVar("T")
Several = AbstractSet[T] | list[T] | tuple[T, ...]
"""What a setting of several values is given as; it is a frozenset once it is read. Not a Collection: a text is one."""


@dataclass(frozen=True, slots=True)
class ValueType:
    """`read` gives None for a text that is not allowed; `write` is its inverse. `example` is a value of the type that
    Python has for it, where that is not plain from the rule.
    """

    rule: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    example: Any = None

    def allows(self, value: object) -> bool:
        """A value is allowed where its text is read as itself."""
        return self.settled(value) is not None

    def settled(self, value: object) -> Any:
        """An allowed value as its text is read (50 as 50.0, a set as a frozenset); None for what is not allowed."""
        try:
            if isinstance(value, (list, tuple, set)):
                value = frozenset(value)
            read = self.read(self.write(value))
        except (TypeError, ValueError, AttributeError, OverflowError):
            return None
        return read if read == value and isinstance(value, bool) == isinstance(read, bool) else None

    def rule_for(self, value: object) -> str:
        """The rule, with how it is written in Python for a value of another type."""
        several = isinstance(self.example, tuple)  # what is in a list may be of another type
        if self.example is None or (isinstance(value, type(self.example)) and not several):
            return self.rule
        return f"{self.rule} (in Python {_written(self.example)})"


def _written(example: Any) -> str:
    if isinstance(example, Enum):
        return f"{type(example).__name__}.{example.name}"
    if isinstance(example, tuple):
        return f"[{', '.join(map(_written, example))}]"
    return repr(example)


def whole(lowest: int, highest: int) -> ValueType:
    def read(text: str) -> int | None:
        number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
        return number if lowest <= number <= highest else None

    return ValueType(f"a whole number {lowest}..{highest}", read, str)


def decimal(lowest: float, highest: float) -> ValueType:
    def read(text: str) -> float | None:
        number = float(text) if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4})?", text) else -1.0
        return number if lowest <= number <= highest else None

    def write(value: float) -> str:
        return f"{value:.4f}".rstrip("0").rstrip(".")

    return ValueType(f"a number {lowest:g}..{highest:g} with at most 4 decimals", read, write)


PERCENT = decimal(0, 100)

MILLISECOND, SECOND, HOUR, DAY = timedelta(milliseconds=1), timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
MAX_COUNT = 1_000_000

_UNITS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_TIME = re.compile(r"([0-9]{1,9})(ms|s|m|h)")


def time_within(lowest: timedelta, highest: timedelta) -> ValueType:
    """A whole number of milliseconds, with its unit: `250ms`, `2s`, `5m`, `1h`."""

    def read(text: str) -> timedelta | None:
        found = _TIME.fullmatch(text)
        value = timedelta(milliseconds=int(found[1]) * _UNITS[found[2]]) if found else None
        return value if value is not None and lowest <= value <= highest else None

    return ValueType(
        f"a time {write_time(lowest)}..{write_time(highest)} such as 250ms, 2s, 5m or 1h", read, write_time, 5 * SECOND
    )


def write_time(value: timedelta) -> str:
    """In the largest unit of which it is a whole number."""
    milliseconds = value // timedelta(milliseconds=1)
    unit = next(unit for unit, size in _UNITS.items() if milliseconds % size == 0 and (milliseconds or size == 1))
    return f"{milliseconds // _UNITS[unit]}{unit}"


def choice(options: type[StrEnum]) -> ValueType:
    by_text = {option.value.lower(): option for option in options}
    return ValueType(
        f"one of {', '.join(option.value for option in options)}",
        lambda text: by_text.get(text.lower()),
        lambda value: str(value.value),
        next(iter(options)),
    )


def some_of(options: type[StrEnum]) -> ValueType:
    allowed = ", ".join(option.value for option in options)
    return _listed(choice(options), f"a comma-separated list of {allowed}", list(options)[-1])


MAX_LIST = 256
"""One task's labels must not fill the document of a whole cluster."""


def list_of(one: ValueType) -> ValueType:
    return _listed(one, f"a comma-separated list of at most {MAX_LIST} characters, each {one.rule}", "…")


def _listed(one: ValueType, rule: str, example: Any) -> ValueType:
    def read(text: str) -> frozenset[Any] | None:
        read = frozenset(one.read(part.strip()) for part in text.split(","))
        return None if None in read or len(write(read)) > MAX_LIST else read

    def write(value: frozenset[Any]) -> str:
        return ",".join(sorted(map(one.write, value)))

    return ValueType(rule, read, write, (example,))


FLAG = ValueType("true or false", {"true": True, "false": False}.get, lambda value: "true" if value else "false")
GRPC_SERVICE = ValueType(
    "a full gRPC service name such as rng.v1.RandomNumber",
    lambda text: text if text != "*" and is_grpc_service(text) else None,
    str,
)
# Keys of gRPC metadata are lower case: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
METADATA_KEY = ValueType(
    "a metadata key: 1 to 64 of a-z, 0-9, - _ and .",
    lambda text: text if re.fullmatch(r"[a-z0-9_.-]{1,64}", text) else None,
    str,
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One label: its name without the prefix, what it may hold, and what it does."""

    label: str
    kind: ValueType
    meaning: str


class ConflictError(ValueError):
    """Settings that contradict each other; `name` is the field that cannot be applied."""

    def __init__(self, section: str, name: str, problem: str, value: object) -> None:
        super().__init__(f"{section}.{name} {problem}, got {value!r}")
        self.name = name
        self.problem = problem


def setting(default: Any, label: str, kind: ValueType, meaning: str) -> Any:
    """A field of a policy's part. Its default is what happens where the label is left out."""
    return field(default=default, metadata={"setting": Setting(label, kind, meaning)})


class PolicySection(NamedFields):
    """A group of settings. Raises ValueError for what no label could say (`ConflictError` where two disagree)."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for name, about, default in settings_of(type(self)):
            value = getattr(self, name)
            if value is default:
                continue
            if isinstance(default, frozenset) and isinstance(value, (list, tuple, set)) and not value:
                object.__setattr__(self, name, default)
                continue
            if value == default:
                continue
            settled = about.kind.settled(value)
            if settled is None:
                raise ValueError(f"{type(self).__name__}.{name} must be {about.kind.rule_for(value)}, got {value!r}")
            object.__setattr__(self, name, settled)
        self._check_conflicts()

    @classmethod
    def of_read(cls, values: Mapping[str, Any]) -> Self:
        """Of values that their types have read already: they are not parsed again. Raises ConflictError alone."""
        section = object.__new__(cls)
        for name, _, default in settings_of(cls):
            object.__setattr__(section, name, values.get(name, default))
        section._check_conflicts()
        return section

    def _check_conflicts(self) -> None:
        for name, problem in self.conflicts():
            raise ConflictError(type(self).__name__, name, problem, getattr(self, name))

    def conflicts(self) -> list[tuple[str, str]]:
        """Fields, other than at their default, that others contradict, and what must be."""
        return []


def settings_of(part: type[PolicySection]) -> tuple[tuple[str, Setting, Any], ...]:
    """Name, setting and default of each field of a part."""
    its_type: Any = part  # mypy takes the __hash__ of a part for that of its type
    return _settings_of(its_type)


@cache
def _settings_of(part: Any) -> tuple[tuple[str, Setting, Any], ...]:
    found = []
    for each in fields(part):  # every part is a dataclass
        assert each.default is not MISSING  # noqa: S101 - `setting` gives each a default
        found.append((each.name, each.metadata["setting"], each.default))
    return tuple(found)
