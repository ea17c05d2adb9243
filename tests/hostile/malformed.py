"""Bytes that break a rule of HTTP/2 (RFC 9113) or HTTP/1.1 (RFC 9112), and would be a call without that."""

from __future__ import annotations

import struct

from tests.hostile import http2
from tests.hostile.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Header,
)

_GOOD = http2.headers_of_call()


def _headers(headers: list[Header], stream: int = 1) -> bytes:
    return http2.start() + http2.frame(HEADERS, END_HEADERS, stream, http2.encoded(headers)) + http2.message(stream)


def _without(name: bytes) -> list[Header]:
    return [header for header in _GOOD if header[0] != name]


HTTP2 = {
    "a preface cut short": PREFACE[:-2] + b"xx" + http2.settings(),
    "SETTINGS of 5 bytes": PREFACE + http2.frame(SETTINGS, payload=b"12345"),
    "SETTINGS on a stream": http2.start() + http2.frame(SETTINGS, 0, 1) + http2.call(1) + http2.message(1),
    "a window of 2^31": http2.start(INITIAL_WINDOW_SIZE=2**31) + http2.call(1) + http2.message(1),
    "frames of 16 MiB are wanted": http2.start(MAX_FRAME_SIZE=2**24) + http2.call(1) + http2.message(1),
    "a frame that is too large": http2.start() + http2.call(1) + http2.frame(DATA, 0, 1, bytes(2**20)),
    "DATA on stream 0": http2.start() + http2.frame(DATA, 0, 0, b"x") + http2.call(1) + http2.message(1),
    "DATA on a stream that is not open": http2.start() + http2.message(1),
    "a stream of the server's": _headers(_GOOD, stream=2),
    "HEADERS on stream 0": _headers(_GOOD, stream=0),
    "a stream that goes back": http2.start() + http2.call(5) + http2.call(3) + http2.message(3),
    "CONTINUATION of nothing": http2.start() + http2.frame(CONTINUATION, END_HEADERS, 1, http2.encoded(_GOOD)),
    "a PING between HEADERS and CONTINUATION": http2.start()
    + http2.frame(HEADERS, 0, 1, http2.encoded(_GOOD))
    + http2.frame(PING, payload=bytes(8))
    + http2.frame(CONTINUATION, END_HEADERS, 1)
    + http2.message(1),
    "PUSH_PROMISE of a client": http2.start() + http2.frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2)),
    "RST_STREAM of an idle stream": http2.start() + http2.frame(RST_STREAM, 0, 9, bytes(4)) + http2.call(1),
    "WINDOW_UPDATE of 0": http2.start() + http2.frame(WINDOW_UPDATE, 0, 0, bytes(4)) + http2.call(1) + http2.message(1),
    "a window that overflows": http2.start()
    + http2.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1)) * 2
    + http2.call(1)
    + http2.message(1),
    "PING of 7 bytes": http2.start() + http2.frame(PING, payload=bytes(7)) + http2.call(1) + http2.message(1),
    "GOAWAY of 3 bytes": http2.start() + http2.frame(GOAWAY, payload=bytes(3)) + http2.call(1) + http2.message(1),
    "padding longer than the frame": http2.start() + http2.frame(HEADERS, END_HEADERS | 0x8, 1, b"\xff" + b"x" * 10),
    "an index of HPACK that is not there": http2.start() + http2.frame(HEADERS, END_HEADERS, 1, b"\xff\xff\x03"),
    "an integer of HPACK without end": http2.start() + http2.frame(HEADERS, END_HEADERS, 1, b"\xff" * 100),
    "no :path": _headers(_without(b":path")),
    "no :method": _headers(_without(b":method")),
    "an empty :path": _headers([*_without(b":path"), (b":path", b"")][::-1]),
    "two :path": _headers([(b":path", b"/other"), *_GOOD]),
    "an unknown pseudo header": _headers([(b":other", b"x"), *_GOOD]),
    "a response's :status": _headers([(b":status", b"200"), *_GOOD]),
    "a name with capitals": _headers([*_GOOD, (b"X-Name", b"x")]),
    "a name with a space": _headers([*_GOOD, (b"x name", b"x")]),
    "a value with a line break": _headers([*_GOOD, (b"x-name", b"a\r\nx-admin: yes")]),
    "a value with NUL": _headers([*_GOOD, (b"x-name", b"a\0b")]),
    "connection: close": _headers([*_GOOD, (b"connection", b"close")]),
    "transfer-encoding": _headers([*_GOOD, (b"transfer-encoding", b"chunked")]),
    "less than content-length": _headers([*_GOOD, (b"content-length", b"1000")]),
    "more than content-length": _headers([*_GOOD, (b"content-length", b"1")]),
    "two content-lengths": _headers([*_GOOD, (b"content-length", b"5"), (b"content-length", b"6")]),
    "HEADERS after the end": http2.start()
    + http2.frame(HEADERS, END_HEADERS | END_STREAM, 1, http2.encoded(_without(b":path")))
    + http2.call(1)
    + http2.message(1),
}

_POST = b"POST /test.Test/Who HTTP/1.1\r\n"
_WEB = b"Content-Type: application/grpc-web\r\n"
_BODY = b"\0\0\0\0\0"


def _http1(*lines: bytes, body: bytes = _BODY, first: bytes = _POST) -> bytes:
    return first + _WEB + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


WELL_FORMED = _http1(b"Host: test", b"Content-Length: 5")

HTTP1 = {
    "no Host": _http1(b"Content-Length: 5"),
    "two lengths": _http1(b"Host: test", b"Content-Length: 5", b"Content-Length: 6"),
    "a length and chunks": _http1(
        b"Host: test", b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + WELL_FORMED
    ),
    "chunks of two kinds": _http1(
        b"Host: test", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + WELL_FORMED
    ),
    "a length that is no number": _http1(b"Host: test", b"Content-Length: 0x5"),
    "a negative length": _http1(b"Host: test", b"Content-Length: -5"),
    "a chunk without a number": _http1(b"Host: test", b"Transfer-Encoding: chunked", body=b"zz\r\n" + _BODY + b"\r\n"),
    "a chunk of 2^64": _http1(b"Host: test", b"Transfer-Encoding: chunked", body=b"1" + b"0" * 16 + b"\r\n" + _BODY),
    "a header without a colon": _http1(b"Host: test", b"Content-Length 5", b"Content-Length: 5"),
    "a space before the colon": _http1(b"Host: test", b"Content-Length : 5"),
    "a value with NUL": _http1(b"Host: test", b"X-Name: a\0b", b"Content-Length: 5"),
    "version 9.9": _http1(b"Host: test", b"Content-Length: 5", first=b"POST /test.Test/Who HTTP/9.9\r\n"),
    "no version": _http1(b"Host: test", b"Content-Length: 5", first=b"POST /test.Test/Who\r\n"),
    "a method with a space": _http1(b"Host: test", b"Content-Length: 5", first=b"PO ST /test.Test/Who HTTP/1.1\r\n"),
    "a head of 2 MiB": _http1(b"Host: test", b"X-Name: " + b"x" * 2**21, b"Content-Length: 5"),
    "20,000 headers": _http1(b"Host: test", *[b"X-%d: x" % number for number in range(20_000)], b"Content-Length: 5"),
    "CONNECT": b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: test\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "nonsense": bytes(range(256)) * 10,
    "an Upgrade to h2c": _http1(
        b"Host: test",
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
    ),
}

# Envoy takes these, as the RFCs let it or as does no harm, and passes on what is well formed.
MENDED = {
    "no SETTINGS after the preface": PREFACE + http2.call(1) + http2.message(1),
    "a pseudo header after others": _headers([*_without(b":path"), (b":path", b"/test.Test/Who")]),
    "a folded header": _http1(b"Host: test", b"X-Name: a", b" b", b"Content-Length: 5"),
    "a line break of its own": _http1(b"Host: test", b"X-Name: a\rX-Other: b", b"Content-Length: 5"),
}
