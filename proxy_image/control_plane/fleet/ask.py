"""Asks one balancer for its summary: one request, bounded in time and in size, to an address of the document alone."""

from __future__ import annotations

import asyncio
import json
import os

import h11

from grpc_lb_contract import Balancer
from proxy_image.control_plane.fleet.summary import Summary, UnreadableSummaryError, read_summary

PATH = "/api/balancer"
ANSWER_SECONDS = 1.5
MAX_BYTES = 256 * 2**10
_READ_BYTES = 16 * 2**10


class NoAnswerError(OSError):
    """It does not answer, or not as a balancer does; the message says which."""


async def ask(balancer: Balancer) -> Summary:
    """Raises `NoAnswerError`."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            status, body = await _get(balancer)
    except TimeoutError:
        raise NoAnswerError(f"no answer within {ANSWER_SECONDS:g} s") from None
    except NoAnswerError:
        raise
    except OSError as error:
        # asyncio puts the address into the text, which the reader has already.
        said = os.strerror(error.errno).lower() if error.errno else str(error)
        raise NoAnswerError(said or type(error).__name__) from error
    except h11.ProtocolError as error:
        raise NoAnswerError(f"it does not speak HTTP: {error}") from error
    if status != 200:
        raise NoAnswerError(f"it answers with HTTP {status}: another version of the balancer?")
    try:
        return read_summary(json.loads(body))
    except (UnreadableSummaryError, ValueError, RecursionError) as error:
        raise NoAnswerError(f"its answer cannot be read: {error}"[:300]) from error


async def _get(balancer: Balancer) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(balancer.ip, balancer.port)
    try:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_READ_BYTES)
        headers = [("Host", balancer.address), ("Connection", "close"), ("Accept", "application/json")]
        for part in (h11.Request(method="GET", target=PATH, headers=headers), h11.EndOfMessage()):
            writer.write(connection.send(part) or b"")
        status, body = 0, bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_READ_BYTES))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BYTES:
                    raise NoAnswerError(f"it answers with more than {MAX_BYTES // 2**10} KiB")
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return status, bytes(body)
    finally:
        writer.close()
