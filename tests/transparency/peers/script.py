"""What a call does, as data that peers in every language read.

A call is a list of the caller's steps, and one of the server's, which travels in the request metadata `script` as JSON.
All calls go to one bidirectional method, whose frames are those of every other kind of method.

The caller's steps:
    ["send", BYTES, COUNT]   messages of so many bytes
    ["half-close"]           no more messages
    ["read", COUNT]          messages, or fewer where the call ends
    ["read-all"]             until the call ends
    ["sleep", SECONDS]
    ["cancel"]

The server's steps:
    ["initial", METADATA]    initial metadata
    ["read", COUNT], ["read-all"], ["send", BYTES, COUNT], ["sleep", SECONDS], as above
    ["tell"]                           one message: what it was called with, as JSON
    ["stay"]                           until the call is cancelled, or its deadline has passed
    ["end", STATUS, MESSAGE, METADATA]   status number, message, trailing metadata
Without an "end" the status is OK.

METADATA is [[KEY, VALUE], ...]; a VALUE that is a number N stands for N times "v". A message of N bytes is N times "m".
The outcome of a call is what its caller sees.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SERVICE = "transparency.Peer"
METHOD = f"/{SERVICE}/Call"
SCRIPT = "script"

Step = Sequence[Any]
Pairs = Sequence[tuple[str, str]]
Metadata = Sequence[tuple[str, str | int]]


@dataclass(frozen=True)
class Call:
    """`metadata` is sent beside the script. Seconds of `deadline` are None for none."""

    caller: Sequence[Step]
    server: Sequence[Step] = ()
    metadata: Metadata = ()
    deadline: float | None = 60.0

    @property
    def sent(self) -> list[tuple[str, str]]:
        return [(SCRIPT, json.dumps(self.server)), *written(self.metadata)]

    def as_json(self) -> str:
        return json.dumps({"steps": self.caller, "metadata": self.sent, "deadline": self.deadline})


@dataclass(frozen=True)
class Outcome:
    """How a call ended for its caller: status by its number, metadata sorted by key, what each message was."""

    status: int
    message: str
    initial: tuple[tuple[str, str], ...] = ()
    trailing: tuple[tuple[str, str], ...] = ()
    received: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, seen: Mapping[str, Any]) -> Outcome:
        return cls(
            int(seen["status"]),
            str(seen["message"]),
            pairs(seen["initial"]),
            pairs(seen["trailing"]),
            tuple(map(str, seen["received"])),
        )


def written(metadata: Metadata) -> list[tuple[str, str]]:
    return [(key, "v" * value if isinstance(value, int) else value) for key, value in metadata]


def pairs(metadata: Any) -> tuple[tuple[str, str], ...]:
    """Metadata of any library. Values of -bin keys are bytes: shown as hex."""
    return tuple(sorted((str(key), _text(value)) for key, value in metadata or ()))


def shown(message: bytes) -> str:
    return f"{len(message)} bytes" if message == b"m" * len(message) else message.decode()


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
