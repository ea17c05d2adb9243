"""gRPC-Web by hand: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

import httpx

from grpc_lb_contract import Document, Route, Service, TrafficPolicy, Web
from tests.proxy_image.control_plane.support import Backend, Envoy, service

TYPE = "application/grpc-web+proto"
ALLOWED = "http://app.test:8000"
TRAILERS = 0x80


def frame(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


def frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages of an answer, and at its end the trailers."""
    while body:
        kind, length = struct.unpack(">BI", body[:5])
        yield kind, body[5 : 5 + length]
        body = body[5 + length :]


def status_of(answer: httpx.Response) -> str | None:
    """Of the trailers in the body, or of the headers where there is no body."""
    for kind, content in frames(answer.content):
        if kind == TRAILERS:
            lines = dict(line.split(":", 1) for line in content.decode().strip().splitlines())
            return lines["grpc-status"].strip()
    status: str | None = answer.headers.get("grpc-status")
    return status


def messages_of(answer: httpx.Response) -> list[bytes]:
    return [content for kind, content in frames(answer.content) if kind != TRAILERS]


def web(service: Service, policy: TrafficPolicy) -> Service:
    return replace(service, policy=policy)


def web_and_plain(browsers: Backend, plain: Backend, settings: Web | None = None) -> Document:
    """One service for browsers, one that is not, behind the same host."""
    allowed = Web(enabled=True, allow_origins=frozenset({ALLOWED})) if settings is None else settings
    return Document(
        (
            replace(service("all", browsers.target), policy=TrafficPolicy(web=allowed)),
            service("plain", plain.target, routes=[Route("*", "plain.Plain")]),
        )
    )


def client(envoy: Envoy, *, http2: bool = False) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{envoy.settings.port}",
        http1=not http2,
        http2=http2,
        timeout=60,
        trust_env=False,
        verify=False,  # noqa: S501 - it is http, and reading the authorities takes longer than a call
    )


async def post(on: httpx.AsyncClient, path: str, content_type: str = TYPE, **headers: str) -> httpx.Response:
    return await on.post(path, content=frame(b"hello"), headers={"content-type": content_type, **headers})


async def preflight(on: httpx.AsyncClient, path: str, origin: str, asked: str = "content-type") -> httpx.Response:
    headers = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": asked}
    return await on.options(path, headers=headers)
