"""What a source reports: documents, confirmations, troubles."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from grpc_lb_contract import Cause, Document


class Origin(StrEnum):
    """Where the document in use came from."""

    NONE = "none"
    SSM = "ssm"
    FILE = "file"
    LAST_GOOD = "last_good"


class Trouble(StrEnum):
    """Why a reading gave no document. In each case the one in use stays."""

    UNREACHABLE = "unreachable"
    THROTTLED = "throttled"
    DENIED = "denied"
    MISSING = "missing"
    TORN = "torn"
    UNKNOWN_FORMAT = "unknown_format"
    BROKEN = "broken"
    INTERNAL = "internal"


class WrongSettingError(ValueError):
    """What the environment or the targets file says cannot be used: no use in trying again before it is changed."""


class Sink(Protocol):
    async def found(
        self, document: Document, origin: Origin, generation: str | None = None, cause: Cause | None = None
    ) -> None:
        """A document to serve from now on. Equal to the one in use: its origin and confirmation are new.

        `generation` is its name where it came from, by default that of its content; `cause` is why it was made, None
        where nobody says.
        """

    def confirmed(self) -> None:
        """The document in use is what the source holds now."""

    def troubled(self, trouble: Trouble, message: str) -> None:
        """A reading failed. Called for each; who listens says it once."""
