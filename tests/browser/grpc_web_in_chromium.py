"""gRPC-Web from a real browser. Run apart from the other tests: `pytest tests/browser/grpc_web_in_chromium.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc

from grpc_lb_contract import Web
from tests.browser.chromium import Page
from tests.proxy_image.control_plane.grpc_web import web_and_plain
from tests.proxy_image.control_plane.support import STREAM, WHO, backends, balancer, eventually

CALL = """
window.call = async (url, metadata = {}) => {
  const headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", ...metadata};
  const answer = await fetch(url, {method: "POST", headers, body: new Uint8Array([0, 0, 0, 0, 0])});
  window.parts = [];
  const text = new TextDecoder(), reader = answer.body.getReader();
  const all = (async () => {
    for (let part; !(part = await reader.read()).done;) window.parts.push(text.decode(part.value));
    return {status: answer.headers.get("grpc-status"), message: answer.headers.get("grpc-message"), parts};
  })();
  window.ended = all;
  return all;
}; 1
"""


@asynccontextmanager
async def pages() -> AsyncIterator[int]:
    """A server of one empty page; it is one origin by its address, and another one by the name localhost."""

    connections: set[asyncio.StreamWriter] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        # Chromium also opens connections in advance, which end without a request.
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            page = b"<!doctype html><title>app</title>"
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n")
            writer.write(b"content-length: %d\r\n\r\n%b" % (len(page), page))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for writer in connections:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in connections))


async def test_a_page_calls_by_fetch_from_the_origins_that_may(tmp_path: Path, page: Page) -> None:
    async with pages() as port, backends("a", "plain") as (a, plain):
        allowed, other = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        settings = Web(enabled=True, allow_origins=frozenset({allowed}), allow_headers=frozenset({"x-tenant"}))
        async with balancer(tmp_path, web_and_plain(a, plain, settings)) as (_, envoy):
            at = f"http://127.0.0.1:{envoy.settings.port}"

            async def opened(origin: str) -> None:
                await page.open(origin)
                await eventually(lambda: reads(page, "document.title", "app"))
                assert await page.run("location.origin") == origin
                await page.run(CALL)

            await opened(allowed)
            # a call with metadata that needs leave
            answer: Any = await page.run(f"call('{at}{WHO}', {{'x-tenant': 'acme'}})")
            (whole,) = ["".join(answer["parts"])]
            assert whole.startswith("\x00\x00\x00\x00\x01a")
            assert "grpc-status:0" in whole
            assert a.metadata[0]["x-tenant"] == "acme"

            # a stream, whose first message is there before its end
            await page.run(f"call('{at}{STREAM}'); 1")
            await eventually(lambda: reads(page, "parts.join('')", "\x00\x00\x00\x00\x01a"))
            a.release.set()
            assert "end" in "".join((await page.run("ended"))["parts"])

            # a failure, whose status and message the page may read
            a.abort = grpc.StatusCode.NOT_FOUND
            failed = await page.run(f"call('{at}{WHO}')")
            assert (failed["status"], failed["message"]) == ("5", "as the test wants")

            # metadata without leave, a service that is not for browsers, and a page of another origin
            before = sum(a.seen.values())
            refused = f"call('{at}{WHO}', {{'x-other': '1'}}).catch(error => String(error))"
            assert await page.run(refused) == "TypeError: Failed to fetch"
            assert await page.run(f"call('{at}/plain.Plain/Any').catch(String)") == "TypeError: Failed to fetch"
            await opened(other)
            assert await page.run(f"call('{at}{WHO}').catch(String)") == "TypeError: Failed to fetch"
            assert sum(a.seen.values()) == before
            assert not plain.seen
            assert any("Access-Control-Allow-Origin" in line for line in page.said), page.said


async def reads(page: Any, expression: str, value: str) -> bool:
    return bool(await page.run(f"({expression}) === {value!r}".replace("'", '"')))
