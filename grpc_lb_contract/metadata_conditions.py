"""Conditions on a call's request metadata, by which a route takes some calls and leaves others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from grpc_lb_contract.policy.value_types import MAX_LIST, METADATA_KEY

CONDITIONS_RULE = (
    "a comma-separated list of at most 256 characters, each key=value, key!=value, key^=prefix, key (present) or !key "
    "(absent), with a lower-case key and a value of 1 to 128 printable characters without spaces and commas"
)
# ASCII values as gRPC has them, less the two that would make the list ambiguous:
# https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
_VALUE = re.compile(r"[!-+\--~]{1,128}")
_CONDITION = re.compile(r"(!?)([^=^!]+)(?:([\^!]?=)(.*))?")


class Match(StrEnum):
    """How a value is compared."""

    EXACT = "="
    PREFIX = "^="
    PRESENT = ""
    NOT_EXACT = "!="
    """Any other value, or none."""
    ABSENT = "!"


_WITHOUT_VALUE = (Match.PRESENT, Match.ABSENT)


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """A condition on a call's metadata: the key is present with this value, with a value that begins with it, or with
    any value; or, negated, the key is absent, or does not have this value.

    >>> str(Condition("x-tenant", Match.PREFIX, "acme-"))
    'x-tenant^=acme-'
    >>> str(Condition("x-debug", Match.ABSENT))
    '!x-debug'
    """

    key: str
    """The key, in lower case."""
    match: Match = Match.PRESENT
    """How the value is compared. By default any value matches."""
    value: str = ""
    """What it is compared with. Empty if any value matches, or none."""

    def __post_init__(self) -> None:
        fits = not self.value if self.match in _WITHOUT_VALUE else _VALUE.fullmatch(self.value) is not None
        if not METADATA_KEY.allows(self.key) or not isinstance(self.match, Match) or not fits:
            raise ValueError(
                "each of metadata must be a condition such as x-canary=yes, with a lower-case key and a value of 1 to "
                f"128 printable characters without spaces and commas, got {str(self)!r}"
            )

    @property
    def is_negated(self) -> bool:
        return self.match in (Match.NOT_EXACT, Match.ABSENT)

    def __str__(self) -> str:
        if self.match is Match.ABSENT:
            return f"{self.match}{self.key}{self.value}"
        return f"{self.key}{self.match}{self.value}"


def read_conditions(text: str) -> tuple[Condition, ...] | None:
    """None for what is no list of conditions."""
    parts = [_CONDITION.fullmatch(part.strip()) for part in text.split(",")]
    try:
        conditions = tuple(sorted({_condition(part) for part in parts}))
    except ValueError:
        return None
    return conditions if len(write_conditions(conditions)) <= MAX_LIST else None


def write_conditions(conditions: Iterable[Condition]) -> str:
    """The inverse of `read_conditions`."""
    return ",".join(map(str, conditions))


def _condition(found: re.Match[str] | None) -> Condition:
    negation, key, match, value = found.groups(default="") if found is not None else ("",) * 4
    if not key or (negation and match):
        raise ValueError("no condition")
    return Condition(key, Match(negation + match), value)
