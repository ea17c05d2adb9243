"""Why a client's stream is ended, as the client and the log are told."""

from __future__ import annotations

from dataclasses import dataclass

import grpc


@dataclass(frozen=True, slots=True)
class RefusedStream:
    code: grpc.StatusCode
    message: str


class RefusedError(Exception):
    """The stream it is raised in ends with this refusal, and no other does."""

    def __init__(self, refusal: RefusedStream) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def invalid(message: str) -> RefusedError:
    return RefusedError(RefusedStream(grpc.StatusCode.INVALID_ARGUMENT, message))


def exhausted(message: str) -> RefusedError:
    return RefusedError(RefusedStream(grpc.StatusCode.RESOURCE_EXHAUSTED, message))
