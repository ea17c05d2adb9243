"""Exchanges of frames by name: what gRPC's libraries seldom send, and other implementations do."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator

from tests.transparency.peers.frames import ANSWER, MESSAGE, OK, REQUEST, RESPONSE, Exchange, Headers, Step

# NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY
# https://www.rfc-editor.org/rfc/rfc9113.html#section-7
RESETS = (0, 2, 7, 8, 10, 11, 12)
HTTP_STATUSES = (301, 400, 401, 403, 404, 408, 413, 415, 429, 431, 500, 502, 503, 504)
HALF_CLOSED: Step = ("half-closed",)
BEGIN: Step = ("headers", RESPONSE)
DATA: Step = ("data", MESSAGE)
END: Step = ("end",)
GZIPPED = gzip.compress(b"x" * 100)


def request(*more: tuple[str, str], without: tuple[str, ...] = (), **changed: str) -> Exchange:
    """A call whose pseudo-headers or headers are changed: `content_type="x"`, `path="/y"`."""
    new = {key if f":{key}" not in dict(REQUEST) else f":{key}": value for key, value in changed.items()}
    new = {key.replace("_", "-"): value for key, value in new.items()}
    kept = [(key, new.get(key, value)) for key, value in REQUEST if key not in without]
    return Exchange((*kept, *more))


def answer(*steps: Step) -> Exchange:
    return Exchange(server=(HALF_CLOSED, *steps))


def only(*headers: tuple[str, str], status: int = 200) -> Exchange:
    """A response of nothing but headers."""
    return answer(("end", ((":status", str(status)), ("content-type", "application/grpc"), *headers)))


def ended(*trailers: tuple[str, str]) -> Exchange:
    return answer(BEGIN, DATA, ("end", trailers))


def metadata(*pairs: tuple[str, str]) -> Exchange:
    """The same in the request, in initial and in trailing metadata."""
    return Exchange((*REQUEST, *pairs), (HALF_CLOSED, ("headers", (*RESPONSE, *pairs)), DATA, ("end", (*OK, *pairs))))


def _resets() -> Iterator[tuple[str, Exchange]]:
    for code in RESETS:
        reset: Step = ("reset", code)
        yield "a caller resets a call", Exchange(server=(BEGIN, HALF_CLOSED), caller=(DATA, ("got", 1), reset))
        yield "a server resets a call before response headers", answer(reset)
        yield "a server resets a call in its response", answer(BEGIN, DATA, reset)
        yield "a server resets a call after its trailers", Exchange(server=(*ANSWER[1:], reset), caller=(("got", 2),))


def _answers() -> Iterator[tuple[str, Exchange]]:
    for status in HTTP_STATUSES:
        html = ((":status", str(status)), ("content-type", "text/html"))
        yield "HTTP statuses", answer(("end", html))
        yield "HTTP statuses", answer(("headers", html), ("data", b"oops"), END)
        yield "HTTP statuses", only(("grpc-status", "5"), ("grpc-message", "m"), status=status)
    for missing in (answer(BEGIN, DATA, END), answer(("end", RESPONSE)), ended(("x", "y")), answer(BEGIN, END)):
        yield "answers without a status", missing
    for odd in ("17", "99", "-1", "", "abc", "00", "2147483648"):
        yield "statuses that gRPC does not know", only(("grpc-status", odd))
        yield "statuses that gRPC does not know", ended(("grpc-status", odd))
    for message in ("a%0Ab%E2%82%AC%25", "%zz % raw", "ä€", ""):
        yield "messages of statuses", only(("grpc-status", "3"), ("grpc-message", message))
    details = base64.b64encode(bytes(9000)).decode().rstrip("=")
    yield "details of 9 KB", ended(("grpc-status", "3"), ("grpc-status-details-bin", details))
    yield "pushback", only(("grpc-status", "14"), ("grpc-retry-pushback-ms", "100"))
    yield "a status twice", answer(("headers", (*RESPONSE, ("grpc-status", "3"))), DATA, ("end", OK))
    for kind in ((), (("content-type", "text/plain"),)):
        yield "content types of answers", answer(("headers", ((":status", "200"), *kind)), DATA, ("end", OK))
    for status in (100, 102, 103):
        yield "informational answers", answer(("headers", ((":status", str(status)), ("x", "y"))), *ANSWER[1:])
    expecting = (*REQUEST, ("expect", "100-continue"))
    first = ("headers", ((":status", "100"),))
    yield "expect", Exchange(expecting, (first, *ANSWER), (("got", 1), DATA, END))
    yield "an early end", Exchange(server=ANSWER[1:], caller=(DATA, ("got", 2)))


def _messages() -> Iterator[tuple[str, Exchange]]:
    empty: Step = ("data", b"")
    yield "empty frames", answer(BEGIN, *[empty] * 50, DATA, empty, ("end", OK))
    yield "empty frames", Exchange(caller=(*[empty] * 50, DATA, empty, END))
    single = [("data", bytes([byte])) for byte in MESSAGE]
    yield "frames of a byte", Exchange(server=(HALF_CLOSED, BEGIN, *single, ("end", OK)), caller=(*single, END))
    yield "empty messages", Exchange(caller=(("data", b"\0\0\0\0\0" * 1000), END))
    yield "trailers of a request", Exchange(caller=(DATA, ("end", (("x", "y"),))))
    squeezed: Step = ("data", b"\1" + len(GZIPPED).to_bytes(4) + GZIPPED)
    for name in ("gzip", "deflate", "identity", "x-own"):
        headers = (("grpc-encoding", name), ("grpc-accept-encoding", "identity,deflate,gzip"))
        answered = (HALF_CLOSED, ("headers", (*RESPONSE, *headers)), squeezed, ("end", OK))
        yield "compressed messages", Exchange((*REQUEST, *headers), answered, (squeezed, DATA, END))
    length: Headers = (("content-length", "6"),)
    sized = (HALF_CLOSED, ("headers", (*RESPONSE, *length)), DATA, ("end", OK))
    yield "content-length", Exchange((*REQUEST, *length), sized, (DATA, END))


def _requests() -> Iterator[tuple[str, Exchange]]:
    for host in ("rng:50051", "RNG", "[::1]", "[::1]:50051", "rng.", "127.0.0.1:1", "rng:", "%41", "x" * 255 + ".y"):
        yield "authorities", request(authority=host)
    for host in ("user:pw@rng", "a b", "rng/x", "ä"):
        yield "authorities that HTTP forbids", request(authority=host)
    yield "host beside :authority", request(("host", "other"))
    yield "host without :authority", request(("host", "rng"), without=(":authority",))
    yield "neither host nor :authority", request(without=(":authority",))
    for path in ("/a/b?x=1", "/a%2Fb/c", "//a/b", "/a/./b", "/a/../b", "/a/..", "/a//b", "/ä/b", "/A/B", "/a/b/", "/"):
        yield "paths", request(path=path)
    for path in (f"/{'p' * 8000}/m", "/a/b;c=d", "/a/b%zz", "/a/b%00", "/a\\b/c", "/a/b?", "/a.b.C/D"):
        yield "paths", request(path=path)
    for path in ("", "*", "a/b", "http://x/a/b", "/a/\x7f", "/a/\x01", "/a/b c"):
        yield "paths that HTTP forbids", request(path=path)
    for kind in ("grpc+proto", "grpc+json", "grpc+own", "grpc;charset=utf-8", "grpc+proto; x=y"):
        yield "content types", request(content_type=f"application/{kind}")
    for kind in ("GRPC", "json", "proto", "connect+proto", "grpc-web", "grpc-web+json"):
        yield "content types of other protocols", request(content_type=f"application/{kind}")
    yield "content types of other protocols", request(content_type="text/plain")
    yield "no content type", request(without=("content-type",))
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH"):
        yield "methods", request(method=method)
    yield "CONNECT", request(method="CONNECT")
    yield "https", request(scheme="https")
    yield "other schemes", request(scheme="ftp")
    yield "no te", request(without=("te",))
    yield "another te", request(te="gzip")
    for digits in ("1", "99999999"):
        for unit in "HMSmun":
            yield "timeouts", request(("grpc-timeout", f"{digits}{unit}"))
    for odd in ("0n", "100", "-1S", "S", "1x", "123456789S", "1 S", "", "5s"):
        yield "timeouts that are none", request(("grpc-timeout", odd))
    yield "two timeouts", request(("grpc-timeout", "5S"), ("grpc-timeout", "6S"))


def _metadata() -> Iterator[tuple[str, Exchange]]:
    whole = base64.b64encode(bytes(range(256))).decode()
    for values in ((whole,), ("AA",), ("AAA=,BBBB",), ("AAAA", "BBBB", ""), ("%%%",)):
        yield "binary metadata", metadata(*(("k-bin", value) for value in values))
    yield "the order of entries", metadata(("a", "1"), ("b", "2"), ("a", "3"), ("b", "1"), ("a", "2"))
    for value in ("", "x  y", "x\ty", "ä", "~!@#$%^&*()[]{}|<>?/\\\"'`;:,.=+-_", "v" * 8200):
        yield "values", metadata(("a", value))
    yield "keys", metadata(*((key, "1") for key in ("a_b.c-d", "0", "-", "_", ".", "a!b", "a#$%&'*+^`|~")))
    for name in ("user-agent", "grpc-previous-rpc-attempts", "grpc-tags-bin", "grpc-message-type", "x-request-id"):
        yield "keys that others use", request((name, "1"))
    for name in ("range", "if-none-match", "origin", "referer", "via", "max-forwards", "trailer", "priority"):
        yield "keys that others use", request((name, "1"))
    for name in ("accept-encoding", "content-encoding", "traceparent", "tracestate", "early-data", "authorization"):
        yield "keys that others use", request((name, "1"))
    for key, value in (
        ("Aa", "1"),
        ("a b", "1"),
        ("", "1"),
        (":x", "1"),
        ("a", "x\x01y"),
        ("a", "x\0y"),
        ("a", "x\ny"),
    ):
        yield "metadata that HTTP forbids", request((key, value))
    for key in ("connection", "transfer-encoding", "keep-alive", "upgrade", "proxy-connection"):
        yield "metadata that HTTP forbids", request((key, "x"))


def _all() -> Iterator[tuple[str, Exchange]]:
    for group in (_resets, _answers, _messages, _requests, _metadata):
        yield from group()


EXCHANGES: tuple[tuple[str, Exchange], ...] = tuple(_all())
