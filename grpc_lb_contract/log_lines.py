"""One schema for the logs of the Lambda and the balancer, so that one query finds an incident's lines in both.

    {"time":"2026-11-27T03:00:00.123+00:00","level":"warning","source":"lambda","event":"label rejected","family":"rng"}

`time` is UTC, `level` one of debug, info, warning and error, `source` the process (lambda, supervisor, control plane,
envoy), `event` what happened in fixed words. Facts follow as fields of their own.
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

SCHEMA = ("time", "level", "source", "event")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `log.info("envoy started", extra={"facts": {"pid": 7}})`.

    A fact of more than `max_fact` characters is cut: labels and clients are untrusted, and their texts are facts.
    """

    def __init__(self, source: str, max_fact: int) -> None:
        super().__init__()
        self.source = source
        self._max_fact = max_fact

    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", {})
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "source": self.source,
            "event": record.getMessage(),
            **{name: self._cut(value) for name, value in facts.items() if name not in SCHEMA},
        }
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str)

    def _cut(self, value: object) -> object:
        if isinstance(value, str) and len(value) > self._max_fact:
            return f"{value[: self._max_fact]}… ({len(value)} characters)"
        return value
