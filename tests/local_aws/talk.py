"""Speaks to the small app's tasks."""

from __future__ import annotations

import socket
from types import TracebackType


class Talk:
    """A connection to a task, direct or through the load balancer."""

    def __init__(self, host: str, port: int = 50200) -> None:
        self._connection = socket.create_connection((host, port), timeout=60)
        self._lines = self._connection.makefile("rw", encoding="utf-8", newline="\n")
        self.task_id = self._lines.readline().strip()

    def order(self, text: str) -> str:
        self._lines.write(f"{text}\n")
        self._lines.flush()
        return self._lines.readline().strip()

    def __enter__(self) -> Talk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self._connection.close()
