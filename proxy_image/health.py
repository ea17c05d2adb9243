"""`python -m proxy_image.health`: exit code 0 while Envoy is alive, ready or not; for container health checks.

With `--ready`, only once it has listeners, which come with the first document: for where no load balancer asks whether
a task is ready. It keeps them whatever becomes of the control plane and of AWS, so neither makes ECS replace a task.
"""

import os
import sys
from collections.abc import Mapping, Sequence

from proxy_image.envoy.admin import Admin, AdminError
from proxy_image.settings import SOURCES, SettingsError, from_environment, given_sources

READY = "--ready"


def with_a_source(env: Mapping[str, str]) -> Mapping[str, str]:
    """A balancer may have been told its source by a flag, which its health check does not see and does not need."""
    _, targets_file = SOURCES
    return env if given_sources(env) else {**env, targets_file.name: "told-by-a-flag"}


def main(arguments: Sequence[str] = ()) -> int:
    unknown = [argument for argument in arguments if argument != READY]
    if unknown:
        print(f"error: arguments must be {READY} or none, got {' '.join(unknown)}", file=sys.stderr)
        return 2
    try:
        settings = from_environment(with_a_source(os.environ))
    except SettingsError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    # The run directory may be a link to a shorter path: that of a unix socket has 107 bytes at most.
    admin = Admin(settings.run_dir.resolve() / settings.admin_socket.name)
    if not admin.answers():
        print(f"error: envoy must answer on {settings.admin_socket}, it does not", file=sys.stderr)
        return 1
    if READY in arguments and not _listens(admin):
        print("error: envoy must have listeners, it has none yet: there is no target document", file=sys.stderr)
        return 1
    return 0


def _listens(admin: Admin) -> bool:
    try:
        return admin.listens()
    except AdminError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
