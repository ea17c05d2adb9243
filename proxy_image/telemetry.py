"""How a balancer reports its calls: statistics, traces, an access log. What is off is not in Envoy's configuration."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from grpc_lb_contract.names import host_port

# A key as OpenTelemetry names attributes (https://opentelemetry.io/docs/specs/semconv/general/naming/), and a value
# without the characters that need escapes in OTEL_RESOURCE_ATTRIBUTES.
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_.]{0,127}=[^,=\s][^,=]{0,255}")
OFF_WORD = "off"
_Choice = TypeVar("_Choice", bound=StrEnum)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Address:
    """A host's name or IP address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return host_port(self.host, self.port)

    @property
    def is_ip(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Attributes:
    """Of the OpenTelemetry resource: what every span says of the process it comes from."""

    pairs: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return ",".join(f"{key}={value}" for key, value in self.pairs)

    def with_defaults(self, defaults: Mapping[str, str]) -> Attributes:
        """These, and what of `defaults` is not among them and can be said."""
        usable = {key: value for key, value in defaults.items() if _ATTRIBUTE.fullmatch(f"{key}={value}")}
        return Attributes(tuple((usable | dict(self.pairs)).items()))


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """percent: of the calls whose caller did not decide. A caller's decision (traceparent) is kept either way."""

    percent: float
    service_name: str
    attributes: Attributes = Attributes()


class Logged(StrEnum):
    """Which calls have a line in the access log."""

    FAILURES = "failures"
    """Those that ended with another gRPC status than OK, or with none."""
    SAMPLED = "sampled"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class AccessLogSettings:
    logged: Logged
    percent: float = 100.0
    """Of all calls, where they are sampled."""


class CallStatistics(StrEnum):
    """What Envoy counts of the calls that ended, and times."""

    SERVICES = "services"
    """By service and gRPC status."""
    METHODS = "methods"
    """By method as well."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """None of it changes while an Envoy lives, as the listener for calls must not."""

    tracing: TracingSettings | None = None
    access_log: AccessLogSettings | None = None
    statistics: CallStatistics | None = None


OFF = Telemetry()


def read_choice(kind: type[_Choice]) -> Callable[[str], _Choice | None]:
    """One of an enumeration's values, or `off`, which is None."""

    def read(text: str) -> _Choice | None:
        if text.lower() == OFF_WORD:
            return None
        try:
            return kind(text.lower())
        except ValueError:
            raise ValueError(f"must be one of {', '.join((OFF_WORD, *kind))}") from None

    return read


def read_percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:  # NaN compares false
        raise ValueError("must be percent, 0..100")
    return value


def read_address(text: str) -> Address:
    allowed = "must be a host and a port such as 127.0.0.1:4317, or [::1]:4317"
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    address = Address(host[1:-1] if bracketed else host, int(port) if re.fullmatch(r"[0-9]{1,5}", port) else 0)
    if not 1 <= address.port <= 65535 or bracketed is not (":" in address.host):
        raise ValueError(allowed)
    if not (address.is_ip or _HOST.fullmatch(address.host)):
        raise ValueError(allowed)
    return address


def read_service_name(text: str) -> str:
    if not text.isprintable() or len(text) > 255:
        raise ValueError("must be at most 255 printable characters")
    return text


def read_attributes(text: str) -> Attributes:
    pairs = tuple(part.strip() for part in text.split(","))
    if not text.isprintable() or not all(_ATTRIBUTE.fullmatch(pair) for pair in pairs):
        raise ValueError("must be pairs such as deployment.environment.name=prod,team=orders")
    keys = [pair.partition("=")[0] for pair in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError("must have each key once")
    return Attributes(tuple((key, value) for key, _, value in (pair.partition("=") for pair in pairs)))
