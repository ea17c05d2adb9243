"""Envoy's command line."""

from collections.abc import Sequence
from pathlib import Path

from proxy_image.settings import Settings

# Envoy sends a connection away with its next response, sooner or later by chance ("gradual"), and an idle one in the
# last third of this time, and only where the connections' own drain time fits in that third (Envoy 1.40's release
# notes, use_connection_event_drain).
_MIN_MOVE_SECONDS = 4
_MAX_MOVE_SECONDS = 30

# Envoy's "info" is forty lines a start, its "debug" a dozen lines a call.
_ENVOY_LOG_LEVELS = {"debug": "info", "info": "warning", "warning": "warning", "error": "error"}


def move_seconds(drain_seconds: float) -> int:
    """Envoy's drain time: how long it takes to send every client away, out of the time for the whole drain."""
    shortest, longest = min(_MIN_MOVE_SECONDS, int(drain_seconds)), _MAX_MOVE_SECONDS
    return max(1, shortest, min(longest, int(drain_seconds / 5)))


def arguments(settings: Settings, config: Path, *, concurrency: int) -> Sequence[str]:
    """Envoy's command line after the binary's name."""
    return (
        "--config-path",
        str(config),
        "--concurrency",
        str(concurrency),
        "--log-level",
        _ENVOY_LOG_LEVELS[settings.log_level],
        "--drain-time-s",
        str(move_seconds(settings.drain_seconds)),
        "--drain-strategy",
        "gradual",
        # Hot restart's abstract sockets carry one number per machine: two balancers would clash. Nothing here uses it.
        "--disable-hot-restart",
        # Every 10 s by default: whoever looks for a failing call, or an ejection, should see it as it happens.
        *("--file-flush-interval-msec", "1000"),
    )
