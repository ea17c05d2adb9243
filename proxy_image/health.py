"""`python -m proxy_image.health`: exit code 0 while Envoy is alive, ready or not; for container health checks.

Without Envoy (GRPC_LB_ENVOY=false) it asks the control plane, which is then all that serves.
"""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

from proxy_image.envoy.admin import Admin
from proxy_image.settings import SOURCES, Settings, SettingsError, from_environment, given_sources

_SECONDS = 3.0
_OF_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on, and how it is reached


def with_a_source(env: Mapping[str, str]) -> Mapping[str, str]:
    """A balancer may have been told its source by a flag, which its health check does not see and does not need."""
    _, targets_file = SOURCES
    return env if given_sources(env) else {**env, targets_file.name: "told-by-a-flag"}


def main() -> int:
    try:
        settings = from_environment(with_a_source(os.environ))
    except SettingsError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    if not settings.has_envoy:
        url = _ready_url(settings)
        if _answers(url):
            return 0
        print(f"error: the control plane must answer on {url}, it does not", file=sys.stderr)
        return 1
    # The run directory may be a link to a shorter path: that of a unix socket has 107 bytes at most.
    if Admin(settings.run_dir.resolve() / settings.admin_socket.name).answers():
        return 0
    print(f"error: envoy must answer on {settings.admin_socket}, it does not", file=sys.stderr)
    return 1


def _ready_url(settings: Settings) -> str:
    address = _OF_ALL.get(settings.bind_address, settings.bind_address)
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{settings.ready_port}/ready"


def _answers(url: str) -> bool:
    """Whatever the answer is: one that is not ready lives too."""
    try:
        urllib.request.urlopen(url, timeout=_SECONDS).close()  # noqa: S310 - http, to this task itself
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
