"""`python -m proxy_image.health`: exit code 0 while Envoy is alive, ready or not; for container health checks.

Without Envoy (GRPC_LB_ENVOY=false) it asks the control plane, which is then all that serves.

With `--ready`, only once it has listeners, which come with the first document: for where no load balancer asks whether
a task is ready. It keeps them whatever becomes of the control plane and of AWS, so neither makes ECS replace a task.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from grpc_lb_contract.names import host_port
from proxy_image.envoy.alive import is_alive
from proxy_image.settings import SOURCES, Settings, SettingsError, from_environment, given_sources

READY = "--ready"
_SECONDS = 3.0
_OF_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on, and how it is reached


def with_a_source(env: Mapping[str, str]) -> Mapping[str, str]:
    """A balancer may have been told its source by a flag, which its health check does not see and does not need."""
    _, targets_file = SOURCES
    return env if given_sources(env) else {**env, targets_file.name: "told-by-a-flag"}


def main(arguments: Sequence[str] = ()) -> int:
    if {"-h", "--help"}.intersection(arguments):
        print(__doc__.strip())
        return 0
    unknown = [argument for argument in arguments if argument != READY]
    if unknown:
        print(f"error: arguments must be {READY} or none, got {' '.join(unknown)}", file=sys.stderr)
        return 2
    try:
        settings = from_environment(with_a_source(os.environ))
    except SettingsError as error:
        for wrong in error.problems:
            print(f"error: {wrong}", file=sys.stderr)
        return 2
    asked_for_readiness = READY in arguments
    problem = (
        _problem_of_envoy(settings, asked_for_readiness)
        if settings.has_envoy
        else _problem_of_control_plane(settings, asked_for_readiness)
    )
    if problem is not None:
        print(f"error: {problem}", file=sys.stderr)
    return 0 if problem is None else 1


def _problem_of_envoy(settings: Settings, asked_for_readiness: bool) -> str | None:
    # The run directory may be a link to a shorter path: that of a unix socket has 107 bytes at most.
    admin_socket = settings.run_dir.resolve() / settings.admin_socket.name
    if not is_alive(admin_socket):
        return f"envoy must answer on {settings.admin_socket}, it does not"
    if asked_for_readiness and not _listens(admin_socket):
        return "envoy must have listeners, it has none yet: there is no target document"
    return None


def _listens(admin_socket: Path) -> bool:
    # Imported here, and in the next function: most checks need no HTTP client, which is slow to import.
    from proxy_image.envoy.admin import Admin, AdminError

    try:
        return Admin(admin_socket).listens()
    except AdminError:
        return False


def _problem_of_control_plane(settings: Settings, asked_for_readiness: bool) -> str | None:
    """Whatever it answers, it lives."""
    import http.client

    address = _OF_ALL.get(settings.bind_address, settings.bind_address)
    url = f"http://{host_port(address, settings.ready_port)}/ready"
    # Not through a proxy that the environment names, as urllib's requests go.
    connection = http.client.HTTPConnection(address, settings.ready_port, timeout=_SECONDS)
    try:
        connection.request("GET", "/ready")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return f"the control plane must answer on {url}, it does not"
    finally:
        connection.close()
    if asked_for_readiness and status != http.client.OK:
        return f"the control plane must be ready, {url} answers {status}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
