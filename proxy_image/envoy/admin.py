"""Envoy's admin interface over its unix socket: the few requests the supervisor makes, each with a short time limit."""

import http.client
import json
from dataclasses import dataclass
from pathlib import Path

from proxy_image.envoy.alive import ANSWER_SECONDS
from proxy_image.envoy.shared_values import CALLS_STAT_PREFIX
from proxy_image.envoy.unix_http import UnixConnection

_CONNECTIONS = f"http.{CALLS_STAT_PREFIX}.downstream_cx_active"
_REQUESTS = f"http.{CALLS_STAT_PREFIX}.downstream_rq_active"


class AdminError(OSError):
    """Envoy's admin interface did not answer as it should."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What clients have open at this moment on the listener for calls."""

    connections: int
    requests: int


class Admin:
    """https://www.envoyproxy.io/docs/envoy/v1.40.0/operations/admin; every method may raise AdminError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def listens(self) -> bool:
        """Whether any listener has come from the control plane yet; where there is no admin either, none has."""
        try:
            return bool(self._ask("GET", "/listeners").strip())
        except AdminError as error:
            if isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError):
                return False
            raise

    def fail_readiness(self) -> None:
        """Readiness is answered with 503; listeners of drain type MODIFY_ONLY serve on as if nothing happened."""
        self._ask("POST", "/healthcheck/fail")

    def send_clients_away(self) -> None:
        """Every client is told to go (GOAWAY) within Envoy's drain time; all is still served, new connections too."""
        self._ask("POST", "/drain_listeners?graceful&skip_exit")

    def stop_listening(self) -> None:
        """No new connection; those that are open, and the calls in them, go on."""
        self._ask("POST", "/drain_listeners")

    def activity(self) -> Activity:
        try:
            stats = json.loads(self._ask("GET", f"/stats?format=json&filter=^http.{CALLS_STAT_PREFIX}.downstream_"))
            values = {stat["name"]: int(stat["value"]) for stat in stats["stats"] if "value" in stat}
            return Activity(connections=values.get(_CONNECTIONS, 0), requests=values.get(_REQUESTS, 0))
        except (ValueError, KeyError, TypeError) as error:
            raise AdminError(f"statistics must be JSON of names and values ({error})") from error

    def _ask(self, method: str, target: str) -> str:
        status, body = self._request(method, target)
        if status != http.client.OK:
            raise AdminError(f"{method} {target} must be answered with 200, got {status}: {body[:200]}")
        return body

    def _request(self, method: str, target: str) -> tuple[int, str]:
        connection = UnixConnection(self.path, ANSWER_SECONDS)
        try:
            connection.request(method, target)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise AdminError(f"{method} {target} on {self.path} failed: {error}") from error
        finally:
            connection.close()
