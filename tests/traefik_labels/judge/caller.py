"""Calls of gRPC over HTTP/2 with any authority, path and metadata: what no gRPC client lets a test write."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from tests.traefik_labels.judge.sets import Call

AT_ONCE = 40
CHUNKS = 10
"""So many times AT_ONCE on one connection."""
SECONDS = 60.0
_EMPTY_MESSAGE = b"\0\0\0\0\0"


class ConnectionEnded(Exception):  # noqa: N818 - the name says what is the matter
    """The other side has ended the connection before it answered."""


@dataclass
class Answer:
    """`status` is that of HTTP; `told` what the backend that answered says of itself, None where none did."""

    status: str = ""
    told: dict[str, Any] | None = None
    _body: bytes = b""
    _ended: bool = field(default=False)


def ask(address: tuple[str, int], calls: Sequence[Call]) -> list[Answer]:
    """The answers, in the order of the calls. A call for which a proxy ends the connection is not answered."""
    answers: list[Answer] = []
    for start in range(0, len(calls), AT_ONCE * CHUNKS):
        chunks = [calls[at : at + AT_ONCE] for at in range(start, min(len(calls), start + AT_ONCE * CHUNKS), AT_ONCE)]
        try:
            with _connected(address) as connection:
                answers += [answer for chunk in chunks for answer in connection.ask(chunk)]
        except ConnectionEnded:
            answers += [_ask_alone(address, call) for chunk in chunks for call in chunk]
    return answers


def _ask_alone(address: tuple[str, int], call: Call) -> Answer:
    try:
        with _connected(address) as connection:
            return connection.ask([call])[0]
    except ConnectionEnded:
        return Answer("connection ended")


def until_answered(address: tuple[str, int], call: Call, by: str, log: Path) -> None:
    """Wait until the backend at the address `by` answers this call."""
    deadline = time.monotonic() + SECONDS
    while not _is_answered(address, call, by):
        assert time.monotonic() < deadline, f"no answer to {call}:\n{log.read_text()[-3000:]}"
        time.sleep(0.05)


def _is_answered(address: tuple[str, int], call: Call, by: str) -> bool:
    try:
        told = ask(address, [call])[0].told
        return told is not None and str(told["server"]).startswith(f"{by}:")
    except OSError:
        return False


@contextmanager
def _connected(address: tuple[str, int]) -> Iterator[_Connection]:
    with socket.create_connection(address, timeout=SECONDS) as opened:
        yield _Connection(opened)


class _Connection:
    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        # What gRPC forbids is part of what is asked.
        self._h2 = H2Connection(
            H2Configuration(client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False)
        )
        self._h2.initiate_connection()

    def ask(self, calls: Sequence[Call]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        for call in calls:
            stream = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream, _headers(call))
            self._h2.send_data(stream, _EMPTY_MESSAGE, end_stream=True)
            answers[stream] = Answer()
        self._socket.sendall(self._h2.data_to_send())
        while not all(answer._ended for answer in answers.values()):
            try:
                received = self._socket.recv(65536)
            except ConnectionResetError:
                raise ConnectionEnded from None
            if not received:
                raise ConnectionEnded
            try:
                events = self._h2.receive_data(received)
            except ProtocolError:
                raise ConnectionEnded from None
            for event in events:
                self._take(event, answers)
            self._socket.sendall(self._h2.data_to_send())
        return list(answers.values())

    def _take(self, event: Event, answers: dict[int, Answer]) -> None:
        if isinstance(event, ConnectionTerminated):
            raise ConnectionEnded
        answer = answers.get(getattr(event, "stream_id", None) or 0, Answer())
        if isinstance(event, ResponseReceived):
            answer.status = dict(event.headers or ())[b":status"].decode()
        elif isinstance(event, DataReceived):
            answer._body += event.data or b""
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        elif isinstance(event, StreamEnded | StreamReset):
            answer._ended = True
            answer.told = _told(answer._body) if answer.status == "200" else None


def _headers(call: Call) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", call.path),
        (":authority", call.authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *call.metadata,
    ]


def _told(body: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(body[5:])
    except ValueError:
        return None
    return told if isinstance(told, dict) else None
