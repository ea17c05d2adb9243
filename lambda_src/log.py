"""The Lambda's log: JSON lines of the schema that the balancer's have (`grpc_lb_contract.log_lines`)."""

from __future__ import annotations

import logging
import sys

from grpc_lb_contract.log_lines import JsonFormatter

MAX_FACT = 1_000
"""An error of AWS ends with why access is denied, after the ARNs of who was denied what: some 600 characters in all."""

_logger = logging.getLogger("grpc_lb.sync")


def configure() -> None:
    """Write to stdout, from where Lambda takes it; without the root logger, whose lines Lambda would double."""
    if not _logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonFormatter("lambda", MAX_FACT))
        _logger.addHandler(handler)
        _logger.setLevel(logging.INFO)
        _logger.propagate = False


def info(event: str, **facts: object) -> None:
    _logger.info(event, extra={"facts": facts})


def warning(event: str, **facts: object) -> None:
    _logger.warning(event, extra={"facts": facts})


def error(event: str, **facts: object) -> None:
    _logger.error(event, extra={"facts": facts})
