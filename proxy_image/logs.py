"""Logs of the balancer: one JSON line an event, of the same shape from supervisor, control plane and Envoy."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class JsonFormatter(logging.Formatter):
    """{"time", "level", "source", "event", …facts}: `log.info("envoy started", extra={"facts": {"pid": 7}})`."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "source": self.source,
            "event": record.getMessage(),
        }
        line.update(getattr(record, "facts", {}))
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str)


def configure(source: str, level: str) -> None:
    """Sends all logging of this process to stderr as JSON lines; level is one of settings.LOG_LEVELS."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(source))
    logging.basicConfig(level=_LEVELS[level], handlers=[handler], force=True)
