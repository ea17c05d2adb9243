"""Logs of the balancer: JSON lines of one schema from supervisor, control plane and Envoy."""

import logging
import sys

from grpc_lb_contract.log_lines import JsonFormatter

MAX_FACT = 4_000
"""Characters: what Envoy says of a rejected resource is told whole."""

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(source: str, level: str) -> None:
    """Sends all logging of this process to stderr as JSON lines; level is one of settings.LOG_LEVELS."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(source, MAX_FACT))
    logging.basicConfig(level=_LEVELS[level], handlers=[handler], force=True)
