"""The control sockets: a JSON object a line in, one line back. Standard library only, both sides use it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from local_aws.errors import LocalAwsError

Handler = Callable[[dict[str, Any]], Awaitable[Any]]
LIMIT = 16 * 1024 * 1024


async def serve(path: Path, handle: Handler) -> asyncio.Server:
    """Answer requests on a socket that only this user can reach (its folder is private)."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await _answer(handle, line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    return await asyncio.start_unix_server(answer, path, limit=LIMIT)


async def _answer(handle: Handler, line: bytes) -> dict[str, Any]:
    try:
        return {"ok": await handle(json.loads(line))}
    except LocalAwsError as error:
        return {"error": str(error)}
    except Exception as error:  # the caller must see what broke, the server must go on
        return {"error": f"{type(error).__name__}: {error}"}


async def ask(path: Path, request: dict[str, Any]) -> Any:
    reader, writer = await asyncio.open_unix_connection(path, limit=LIMIT)
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        return _result(await reader.readline())
    finally:
        writer.close()


def ask_now(path: Path, request: dict[str, Any], *, timeout_seconds: float = 60) -> Any:
    """The same for callers without an event loop."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_seconds)
        try:
            connection.connect(str(path))
        except OSError as error:
            raise LocalAwsError(
                f"the local AWS must be up, got '{error.strerror}' from its control socket; start it: make up"
            ) from error
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as answers:
            return _result(answers.readline())


def _result(line: bytes) -> Any:
    if not line:
        raise LocalAwsError("the local AWS must answer, got nothing: it is stopping or broke (build/local/*.log)")
    answer = json.loads(line)
    if "error" in answer:
        raise LocalAwsError(answer["error"])
    return answer["ok"]
