"""Whether Envoy is alive, asked without an HTTP client: a health check is a new process each time, and would spend more
on loading one than on all else.
"""

import socket
from pathlib import Path

# Envoy's main thread answers in milliseconds; a supervisor that waits longer would miss its own deadlines.
ANSWER_SECONDS = 1.0


def is_alive(admin_socket: Path) -> bool:
    """Whether Envoy's main thread answers, ready or not."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(admin_socket))
            connection.sendall(b"GET /ready HTTP/1.1\r\nhost: envoy\r\nconnection: close\r\n\r\n")
            return connection.recv(5) == b"HTTP/"
        except OSError:
            return False
