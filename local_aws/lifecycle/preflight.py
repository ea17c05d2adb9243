"""The ports the stack will listen on, asked for before the deploy: a program on 0.0.0.0 takes them on every address."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from local_aws.addresses import BALANCER_HOSTS, Range
from local_aws.errors import LocalAwsError


def check_ports(templates: Iterable[Mapping[str, Any]], addresses: Range) -> None:
    """Raises LocalAwsError for the first port that is taken."""
    address = addresses.address(BALANCER_HOSTS[0])
    for port in sorted({port for template in templates for port in listened_ports(template)}):
        try:
            socket.create_server((address, port)).close()
        except OSError as error:
            if error.errno == errno.EACCES:
                problem, fix = "it is below 1024 and you are not root", "use a higher one in the app"
            else:
                problem, fix = (
                    f"{os.strerror(error.errno or 0)}{_by_whom(port)}",
                    f"stop that program (ss -ltnp 'sport = :{port}')",
                )
            raise LocalAwsError(f"port {port} must be free on {address}, got '{problem}'; {fix}") from error


def listened_ports(template: Mapping[str, Any]) -> Iterator[int]:
    for resource in template.get("Resources", {}).values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::ElasticLoadBalancingV2::Listener":
            yield int(properties["Port"])
        elif resource["Type"] == "AWS::ECS::TaskDefinition":
            for container in properties.get("ContainerDefinitions", ()):
                for mapping in container.get("PortMappings", ()):
                    yield int(mapping["ContainerPort"])


def _by_whom(port: int) -> str:
    """The process that listens, if this user may see it: /proc/net/tcp names the socket, /proc/PID/fd its owner."""
    try:
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        # proc(5): local address as hex, state 0A is LISTEN, the tenth field is the inode.
        sockets = {f"socket:[{f[9]}]" for f in lines if f[3] == "0A" and int(f[1].split(":")[1], 16) == port}
        for process in Path("/proc").iterdir():
            if process.name.isdecimal() and sockets & _open_files(process):
                return f" by process {process.name}, {(process / 'comm').read_text().strip()}"
    except OSError:
        pass
    return ""


def _open_files(process: Path) -> set[str]:
    found = set[str]()
    with suppress(OSError):  # another user's
        for file in (process / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                found.add(str(file.readlink()))
    return found
