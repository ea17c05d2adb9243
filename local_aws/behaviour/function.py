"""A Lambda function as Lambda runs it: an environment that is made, used again, and killed at the timeout."""

from __future__ import annotations

import importlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from local_aws.behaviour.cpu_share import Governor, cpu_seconds
from local_aws.behaviour.timings import Functions

INIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Invocation:
    """`seconds` is what Lambda bills for the handler, `init_seconds` what making its environment took (0 where it was
    warm), on this machine; `error` is None where the handler returned.
    """

    seconds: float
    init_seconds: float
    cpu_seconds: float
    error: str | None
    killed: bool = False


class Function:
    """One execution environment of a handler `MODULE.NAME`, in a process with the CPU that its memory buys."""

    def __init__(
        self, handler: str, environment: Mapping[str, str], *, megabytes: int, timeout_seconds: float, log: Path
    ) -> None:
        self._handler = handler
        self._environment = dict(environment)
        self._share = Functions().cpu_share(megabytes)
        self._timeout = timeout_seconds
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: IO[bytes] | None = None

    def invoke(self, event: Any) -> Invocation:
        """Raises `RuntimeError` where the environment cannot be made."""
        init = self._make() if self._process is None else 0.0
        process, answers = self._process, self._answers
        assert process is not None and process.stdin is not None and answers is not None  # noqa: PT018, S101
        before, started = cpu_seconds(process.pid), time.monotonic()
        governor = Governor(process.pid, self._share)
        governor.start()
        try:
            deadline = time.time() + self._timeout
            process.stdin.write(json.dumps({"event": event, "deadline": deadline}).encode() + b"\n")
            process.stdin.flush()
            in_time = bool(select.select([answers], [], [], self._timeout)[0])
            seconds = time.monotonic() - started
            used = cpu_seconds(process.pid) - before
            answer = json.loads(answers.readline()) if in_time else {"error": "timed out"}
        finally:
            governor.stop()
        if not in_time:
            self.stop()
        return Invocation(seconds, init, used, answer["error"], killed=not in_time)

    def stop(self) -> None:
        """Take the environment away, as Lambda does at a timeout, or whenever it likes."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._answers):
                if pipe is not None:
                    pipe.close()
        self._process = self._answers = None

    def _make(self) -> float:
        """The init phase, which Lambda gives a whole CPU whatever the memory."""
        started = time.monotonic()
        reading, writing = os.pipe()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local_aws.behaviour.function", self._handler, str(writing)],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[writing],
            )
        os.close(writing)
        self._answers = os.fdopen(reading, "rb", buffering=0)
        if not select.select([self._answers], [], [], INIT_SECONDS)[0] or not self._answers.readline():
            self.stop()
            raise RuntimeError(
                f"{self._handler} must be imported within {INIT_SECONDS:g} s; its output is in {self._log}"
            )
        return time.monotonic() - started


@dataclass(frozen=True, slots=True)
class _Context:
    deadline: float

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self.deadline - time.time()) * 1000))


def main(handler: str, answers: int) -> None:
    """The environment's side: import the handler, then a line in and a line out for each invocation."""
    module, _, name = handler.rpartition(".")
    handle = getattr(importlib.import_module(module), name)
    with os.fdopen(answers, "w", buffering=1) as out:
        print("ready", file=out)
        for line in sys.stdin:
            request = json.loads(line)
            error = None
            try:
                handle(request["event"], _Context(request["deadline"]))
            except Exception as problem:  # as the runtime does: whatever it is, it is the answer
                error = f"{type(problem).__name__}: {problem}"
            print(json.dumps({"error": error}), file=out)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
