"""`python -m proxy_image.health`: exit code 0 while Envoy is alive, ready or not; for container health checks."""

import os
import sys
from collections.abc import Mapping

from proxy_image.envoy.admin import Admin
from proxy_image.settings import SOURCES, SettingsError, from_environment, given_sources


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
    # The run directory may be a link to a shorter path: that of a unix socket has 107 bytes at most.
    if Admin(settings.run_dir.resolve() / settings.admin_socket.name).answers():
        return 0
    print(f"error: envoy must answer on {settings.admin_socket}, it does not", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
