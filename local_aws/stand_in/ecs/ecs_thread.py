"""One thread with an event loop owns all of ECS's state and starts every process.

ministack runs each API call in a thread of its own. Here every call that touches tasks or services is run on the one
thread instead, so nothing needs a lock and no answer shows a half-made change. The thread lives as long as the process,
which the parent-death signal of the processes it starts depends on.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger("local_aws")


class EcsThread:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="ecs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def owns(self, function: Callable[P, T]) -> Callable[P, T]:
        """The function, run on this thread with the caller's account and region, whoever calls it."""

        @functools.wraps(function)
        def run(*arguments: P.args, **named: P.kwargs) -> T:
            if threading.current_thread() is self._thread:
                return function(*arguments, **named)
            answer: Future[T] = Future()
            context = contextvars.copy_context()

            def deliver() -> None:
                try:
                    answer.set_result(context.run(function, *arguments, **named))
                except BaseException as error:
                    answer.set_exception(error)

            self.loop.call_soon_threadsafe(deliver)
            return answer.result()

        return run
