"""Structured logs: one JSON object a line, facts as fields, so that CloudWatch Logs Insights can count and filter."""

from __future__ import annotations

import json
import logging
import sys
import time

MAX_FACT = 400

_logger = logging.getLogger("grpc_lb.sync")


class JsonFormatter(logging.Formatter):
    """Facts are the record's `facts`; long texts among them are cut, because labels are untrusted."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        facts = getattr(record, "facts", {})
        line = {
            "at": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **{name: _cut(value) for name, value in facts.items()},
        }
        return json.dumps(line, default=str)


def configure() -> None:
    """Write to stdout, from where Lambda takes it; without the root logger, whose lines Lambda would double."""
    if not _logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonFormatter())
        _logger.addHandler(handler)
        _logger.setLevel(logging.INFO)
        _logger.propagate = False


def info(message: str, **facts: object) -> None:
    _logger.info(message, extra={"facts": facts})


def warning(message: str, **facts: object) -> None:
    _logger.warning(message, extra={"facts": facts})


def error(message: str, **facts: object) -> None:
    _logger.error(message, extra={"facts": facts})


def _cut(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_FACT:
        return f"{value[:MAX_FACT]}… ({len(value)} characters)"
    return value
