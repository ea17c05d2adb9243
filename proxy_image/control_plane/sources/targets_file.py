"""Targets from a JSON file that people write: {"services": [{"name": "rng", "targets": ["127.0.0.1:50051"]}]}."""

from __future__ import annotations

import asyncio
import difflib
import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grpc_lb_contract import Balancer, Document, Group, Registration, Service, Target, TargetState, resolve_conflicts
from proxy_image.control_plane.sources.sink import Origin, Sink, Trouble, WrongSettingError


class TargetsFileError(WrongSettingError):
    """The file cannot be used: what is wrong, and where."""


def read_targets(path: Path) -> Document:
    """The document that a file describes. Raises `TargetsFileError`."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise TargetsFileError(f"targets file {path} cannot be read: {error}") from None
    return parse_targets(text, str(path))


def parse_targets(text: str, where: str) -> Document:
    """Raises `TargetsFileError`. `where` is what messages call the text."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TargetsFileError(f"targets file {where} must be JSON: {error}") from None
    try:
        given = _fields(content, {"services": list, "balancers": list}, "the file", optional=("balancers",))
        services = [_service(entry, number) for number, entry in enumerate(given["services"], start=1)]
        balancers = tuple(map(_balancer, given.get("balancers", [])))
        settled, conflicts = resolve_conflicts(services, None)
        document = Document(settled, balancers=balancers)
    except ValueError as error:
        raise TargetsFileError(f"{error} (targets file {where})") from None
    if conflicts:
        raise TargetsFileError(f"{conflicts[0]} (targets file {where})")
    return document


def _service(entry: object, number: int) -> Service:
    allowed = {"name": str, "hosts": list, "grpc_services": list, "targets": list}
    fields = _fields(entry, allowed, f"service {number}", optional=("hosts", "grpc_services"))
    name = fields["name"]
    # A service without targets still has a route: its calls are told that it has none.
    targets = [_target(target, name) for target in fields["targets"]]
    port = targets[0].port if targets else 1
    for key in ("hosts", "grpc_services"):
        for value in fields.get(key, []):
            if not isinstance(value, str):
                raise ValueError(f"{key} of service {name} must each be a text, got {value!r}")  # noqa: TRY004
    registration = Registration(
        name, port, tuple(fields.get("hosts", ["*"])), tuple(fields.get("grpc_services", ["*"]))
    )
    return Service(name, registration.routes, (Group(name),), tuple(targets))


def _target(entry: object, service: str) -> Target:
    zone, draining = "", False
    if isinstance(entry, dict):
        allowed = {"address": str, "zone": str, "draining": bool}
        fields = _fields(entry, allowed, f"a target of service {service}", optional=("zone", "draining"))
        entry, zone, draining = fields["address"], fields.get("zone", ""), fields.get("draining", False)
    what = f"targets of service {service} must each be an IP address and a port such as 127.0.0.1:50051, got {entry!r}"
    ip, port = _address(entry, what)
    state = TargetState.DRAINING if draining else TargetState.SERVING
    return Target(ip, port, zone, state, group=service, task=f"{ip}:{port}")


def _balancer(entry: object) -> Balancer:
    """Another balancer's page, or this one's own: the same list may serve all."""
    what = f"balancers must each be the IP address and port of a page such as 127.0.0.1:8080, got {entry!r}"
    return Balancer(*_address(entry, what))


def _address(entry: object, what: str) -> tuple[str, int]:
    """Raises ValueError, saying what is wanted."""
    if not isinstance(entry, str):
        raise ValueError(what)  # noqa: TRY004 - all of a file's problems are one kind of error
    address, _, port = entry.rpartition(":")
    try:
        ip = ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError(what) from None
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(what)
    return str(ip), int(port)


def _fields(value: object, allowed: Mapping[str, type], what: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object with {', '.join(allowed)}, got {value!r:.80}")  # noqa: TRY004
    for key in value:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            raise ValueError(
                f"fields of {what} must be {', '.join(allowed)}, got {key!r}" + (f" ({near[0]}?)" if near else "")
            )
    for key, kind in allowed.items():
        if key not in value and key not in optional:
            raise ValueError(f"{what} must have {key}, got only {', '.join(value) or 'nothing'}")
        if key in value and not isinstance(value[key], kind):
            names = {str: "a text", list: "a list", bool: "true or false"}
            raise ValueError(f"{key} of {what} must be {names[kind]}, got {value[key]!r:.80}")
    return value


class TargetsFileSource:
    """Follows the file. What it holds at the start must be good; later a bad one leaves the targets as they are."""

    def __init__(self, path: Path, *, poll_seconds: float, sink: Sink) -> None:
        self._path = path
        self._poll_seconds = poll_seconds
        self._sink = sink
        self._seen: object = None

    async def start(self) -> None:
        """Raises `TargetsFileError`."""
        self._seen = self._stamp()
        await self._sink.found(read_targets(self._path), Origin.FILE)
        self._sink.confirmed()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self.read()

    async def read(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen and stamp is not None:
            self._sink.confirmed()
            return
        try:
            document = read_targets(self._path)
        except TargetsFileError as error:
            trouble = Trouble.BROKEN if stamp is not None else Trouble.MISSING
            self._sink.troubled(trouble, str(error))
            return
        self._seen = stamp
        await self._sink.found(document, Origin.FILE)
        self._sink.confirmed()

    def _stamp(self) -> object:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
