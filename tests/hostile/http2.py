"""HTTP/2 as bytes, right or wrong as the test wants: frames (RFC 9113, 4.1) and HPACK literals (RFC 7541, 6.2.2)."""

from __future__ import annotations

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4

HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 0x1, 0x4, 0x5
CANCEL = 8

Header = tuple[bytes, bytes]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values: int) -> bytes:
    """`settings(INITIAL_WINDOW_SIZE=0)`; without values an empty frame."""
    numbers = {"HEADER_TABLE_SIZE": 1, "INITIAL_WINDOW_SIZE": 4, "MAX_FRAME_SIZE": 5}
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", numbers[name], value) for name, value in values.items()))


def start(**values: int) -> bytes:
    return PREFACE + settings(**values) + frame(SETTINGS, ACK)


def headers_of_call(path: bytes = b"/test.Test/Who", *more: Header) -> list[Header]:
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"test"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        *more,
    ]


def encoded(headers: list[Header]) -> bytes:
    """Literals without indexing and without Huffman coding."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def call(stream: int, path: bytes = b"/test.Test/Who", *more: Header, flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, flags, stream, encoded(headers_of_call(path, *more)))


def message(stream: int, content: bytes = b"", flags: int = END_STREAM) -> bytes:
    """A gRPC message in one frame."""
    return frame(DATA, flags, stream, b"\0" + struct.pack(">I", len(content)) + content)


def reset(stream: int) -> bytes:
    return frame(RST_STREAM, stream=stream, payload=struct.pack(">I", CANCEL))


def integer(value: int, prefix: int, first: int = 0) -> bytes:
    """RFC 7541, 5.1."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes([first | value])
    output = [first | most]
    value -= most
    while value >= 128:
        output.append(value % 128 + 128)
        value //= 128
    return bytes([*output, value])


def _text(text: bytes) -> bytes:
    return integer(len(text), 7) + text
