"""`python -m proxy_image.health`: exit code 0 while Envoy is alive, ready or not; for container health checks."""

import sys

from proxy_image.admin import Admin
from proxy_image.settings import SettingsError, from_environment


def main() -> int:
    try:
        settings = from_environment()
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
