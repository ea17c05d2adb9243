"""What names, addresses and numbers may look like, wherever they come from."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import cast

ALL = "*"

SERVICE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SERVICE_NAME_RULE = "1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit"
# ECS allows 255 letters, digits, - and _ in the names of services and task families:
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html
GROUP_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
GROUP_NAME_RULE = "1 to 255 letters, digits, - and _"
ZONE = re.compile(r"[a-z0-9-]{0,63}")
ZONE_RULE = "up to 63 of a-z, 0-9 and -"
TASK_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
TASK_ID_RULE = "1 to 128 letters, digits and _ . : -"
MAX_PORT = 65_535
MAX_WEIGHT = 1_000

HOST_RULE = "a host name without a port, *.a-domain, or *"
# RFC 1123 host names, with the underscore that private names carry; a leading `*.` stands for every name below.
_HOST = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_MAX_HOST = 253

GRPC_SERVICE_RULE = "a full gRPC service name such as rng.v1.RandomNumber, or *"
# A full name in protobuf: https://protobuf.dev/reference/protobuf/proto3-spec/#identifiers
_GRPC_SERVICE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_MAX_GRPC_SERVICE = 255
METHOD_RULE = "a full method name such as rng.v1.RandomNumber/Get"
_METHOD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

MAX_PRIORITY = 1_000_000


def is_host(host: str) -> bool:
    return host == ALL or (len(host) <= _MAX_HOST and _HOST.fullmatch(host) is not None)


def less_specific_hosts(host: str) -> Iterator[str]:
    """The hosts whose routes may take a call of this one's too, the most specific first.

    >>> [*less_specific_hosts("a.b.test")]
    ['*.b.test', '*.test', '*']
    """
    rest = host.removeprefix("*.")
    while (dot := rest.find(".")) >= 0:
        rest = rest[dot + 1 :]
        yield f"*.{rest}"
    if host != ALL:
        yield ALL


def is_grpc_service(name: str) -> bool:
    return name == ALL or (len(name) <= _MAX_GRPC_SERVICE and _GRPC_SERVICE.fullmatch(name) is not None)


def is_method(name: str) -> bool:
    """Whether it is a method's name within its gRPC service, such as `Get`."""
    return _METHOD.fullmatch(name) is not None


def is_full_method(name: str) -> bool:
    """Whether it is a method's name with its gRPC service, such as `rng.v1.RandomNumber/Get`."""
    grpc_service, _, method = name.partition("/")
    return grpc_service != ALL and is_grpc_service(grpc_service) and is_method(method)


def service_name_from(name: str) -> str:
    """A service's name made of an ECS name: lower case, with - for what a service's name may not hold.

    >>> service_name_from("Prod_RandomNumbers")
    'prod-randomnumbers'
    """
    return re.sub(r"[^a-z0-9-]", "-", name.lower())[:63].strip("-")


def host_port(host: str, port: int) -> str:
    """The text of an address, as gRPC and URLs have it.

    >>> host_port("10.0.1.12", 50051), host_port("::1", 50051)
    ('10.0.1.12:50051', '[::1]:50051')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@lru_cache(maxsize=16_384)
def address_order(address: str) -> tuple[int, int, int]:
    """What addresses as `host_port` writes them are sorted by for people: as numbers, IPv4 before IPv6.

    >>> sorted(["[::1]:1", "10.0.0.109:1", "10.0.0.11:80", "10.0.0.11:9"], key=address_order)
    ['10.0.0.11:9', '10.0.0.11:80', '10.0.0.109:1', '[::1]:1']
    """
    host, _, port = address.rpartition(":")
    ip = ipaddress.ip_address(host.strip("[]"))
    return ip.version, int(ip), int(port)


def must_match(pattern: re.Pattern[str], what: str, got: object, allowed: str) -> None:
    if not isinstance(got, str) or pattern.fullmatch(got) is None:
        raise ValueError(f"{what} must be {allowed}, got {got!r}")


def must_be_address(what: str, got: object) -> None:
    # A number, and with it a boolean, is an address for `ipaddress`.
    if not isinstance(got, str) or not _is_address(got):
        raise ValueError(f"{what} must be an IPv4 or IPv6 address, got {got!r}")


@lru_cache(maxsize=16_384)
def _is_address(text: str) -> bool:
    """One with a scope (`fe80::1%eth0`) means something to the machine alone that names it so."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def must_be_host(what: str, got: object) -> None:
    if not isinstance(got, str) or not is_host(got):
        raise ValueError(f"{what} must be {HOST_RULE}, got {got!r}")


def must_be_grpc_service(what: str, got: object) -> None:
    if not isinstance(got, str) or not is_grpc_service(got):
        raise ValueError(f"{what} must be {GRPC_SERVICE_RULE}, got {got!r}")


def must_be_full_method(what: str, got: object) -> None:
    if not isinstance(got, str) or not is_full_method(got):
        raise ValueError(f"{what} must be {METHOD_RULE}, got {got!r}")


def must_be_within(what: str, got: object, lowest: int, highest: int) -> None:
    is_whole = isinstance(got, int) and not isinstance(got, bool)
    if not is_whole or not lowest <= cast(int, got) <= highest:
        raise ValueError(f"{what} must be {'' if is_whole else 'a whole number '}{lowest}..{highest}, got {got!r}")
