"""`python -m rng_service.probe` asks the server's own health service: the container health check of ECS.

health_check=ecs.HealthCheck(command=["CMD", "python", "-m", "rng_service.probe"])
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rng_service.settings import SettingsError, host_port, read_settings

# Below the 5 s that ECS gives a health check by default.
TIMEOUT_SECONDS = 3.0


class UnhealthyError(Exception):
    """The server is not there, or says that it does not serve."""


def own_address(environment: Mapping[str, str]) -> str:
    """Where the server of this environment can be reached from here. Raises SettingsError."""
    settings = read_settings(environment)
    bound = ipaddress.ip_address(settings.bind_address)
    if not bound.is_unspecified:
        return settings.listen
    return host_port("127.0.0.1" if bound.version == 4 else "::1", settings.port)


def check(address: str) -> None:
    """Raises UnhealthyError unless the server at the address is SERVING."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # its published types lack the methods
        try:
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            raise UnhealthyError(f"{address} must be SERVING, got {error.code().name} {error.details()}") from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        raise UnhealthyError(f"{address} must be SERVING, got {status}")


def main() -> int:
    argparse.ArgumentParser(
        prog="python -m rng_service.probe",
        description="Exit code 0 when the server of this environment (BIND_ADDRESS, PORT) is SERVING, else 1.",
    ).parse_args()
    try:
        check(own_address(os.environ))
    except (SettingsError, UnhealthyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
