"""The settings of the server, read from the environment."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass

HELP = """\
environment:
  BIND_ADDRESS            IP address to listen on (default 0.0.0.0)
  PORT                    TCP port to listen on; 0 takes any free one (default 50051)
  SHUTDOWN_GRACE_SECONDS  after SIGTERM, how long to keep serving new calls while health says NOT_SERVING, so that
                          balancers move on before the connections close (default 10)
  SHUTDOWN_CALLS_SECONDS  after that, how long running calls may take to finish (default 15)
  SERVED_BY               name put in the trailing metadata `served-by` (default: the ECS task id, else the host name)

SIGTERM and SIGINT stop the server in those steps; each further one ends the step at hand. On ECS, keep the sum of both
times below the container's stop timeout (30 s by default).
"""
MAX_SECONDS = 3600.0


class SettingsError(ValueError):
    """A setting is not allowed; the message names it, its value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the server needs to know. Times are in seconds; port 0 takes any free port."""

    bind_address: str = "0.0.0.0"  # noqa: S104 - a task's only interface is its own; the security group guards it
    port: int = 50051
    grace: float = 10.0
    calls: float = 15.0
    served_by: str | None = None

    @property
    def listen(self) -> str:
        return host_port(self.bind_address, self.port)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; a variable that is absent or empty takes its default. Raises SettingsError."""
    given = {name: value for name, value in environment.items() if value != ""}
    default = Settings()
    return Settings(
        bind_address=read_address("BIND_ADDRESS", given.get("BIND_ADDRESS", default.bind_address)),
        port=read_port("PORT", given.get("PORT", str(default.port))),
        grace=read_seconds("SHUTDOWN_GRACE_SECONDS", given.get("SHUTDOWN_GRACE_SECONDS", str(default.grace))),
        calls=read_seconds("SHUTDOWN_CALLS_SECONDS", given.get("SHUTDOWN_CALLS_SECONDS", str(default.calls))),
        served_by=read_name("SERVED_BY", given["SERVED_BY"]) if "SERVED_BY" in given else None,
    )


def read_address(name: str, value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise SettingsError(f"{name} must be an IP address, got {value!r}") from None


def read_port(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) <= 5 and int(value) <= 65535):
        raise SettingsError(f"{name} must be 0..65535, got {value!r}")
    return int(value)


def read_seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= MAX_SECONDS:
        raise SettingsError(f"{name} must be 0..{MAX_SECONDS:.0f} seconds, got {value!r}")
    return seconds


def read_name(name: str, value: str) -> str:
    # gRPC over HTTP/2 allows 0x20..0x7e in an ASCII metadata value (grpc/doc/PROTOCOL-HTTP2.md, Custom-Metadata).
    if not all(" " <= character <= "~" for character in value) or value != value.strip():
        raise SettingsError(f"{name} must be printable ASCII without blanks at its ends, got {value!r}")
    return value


def host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
