"""ECS's answers as small types of our own: the shapes of AWS end here."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from grpc_lb_contract.names import MAX_PORT

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import PortMappingTypeDef, TaskDefinitionTypeDef, TaskTypeDef

_ADDRESSES = frozenset({"privateipv4address", "privateipv6address", "ipv6address"})
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Attachment.html
_NOT_ATTACHED = frozenset({"DETACHED", "DELETED", "FAILED"})

# lastStatus goes PROVISIONING, PENDING, ACTIVATING, RUNNING, DEACTIVATING, STOPPING, DEPROVISIONING, STOPPED:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
RUNNING = "RUNNING"
STOPPED = "STOPPED"
LEAVING = frozenset({"DEACTIVATING", "STOPPING", "DEPROVISIONING", STOPPED, "DELETED"})
MAY_HAVE_CALLS = frozenset({RUNNING, "DEACTIVATING", "STOPPING"})
"""From DEPROVISIONING on, the containers have stopped."""

UNREADABLE = (LookupError, TypeError, AttributeError, ValueError, OverflowError)
"""What `task_from` and `task_definition_from` raise where an answer has not AWS's documented shape."""


@dataclass(frozen=True, slots=True)
class Task:
    """`id` is the last part of the ARN, `definition` an ARN, `service` the ECS service's name (None for tasks that none
    runs), `version` None where unknown, `started_at` in seconds since 1970, `healthy` the containers whose health check
    passes, `unhealthy` those whose health check fails; of any other nothing is known. `created_at` and `stopping_at`
    are like `started_at`; `started_by` names the deployment of the ECS service. `exited` are the containers that
    have ended, though the task may go on. `group` is `service:NAME`, `family:NAME`, or what RunTask was told.
    `stop_reason` is why it was told to stop, "" where it was not, or ECS does not say.
    """

    id: str
    definition: str
    service: str | None
    version: int | None
    last_status: str
    desired_status: str
    zone: str
    address: str | None
    started_at: float | None
    healthy: frozenset[str]
    unhealthy: frozenset[str] = frozenset()
    created_at: float | None = None
    stopping_at: float | None = None
    started_by: str = ""
    exited: frozenset[str] = frozenset()
    group: str = ""
    stop_reason: str = ""

    @property
    def is_over(self) -> bool:
        """Whether its containers have stopped, or never will start: nothing that it asks for counts any more."""
        leaves = self.desired_status != RUNNING or self.last_status in LEAVING
        return leaves and self.last_status not in MAY_HAVE_CALLS

    @property
    def is_of_managed_daemon(self) -> bool:
        """Whether its definition is one of a managed daemon, which DescribeTaskDefinition does not know. Its containers
        have neither labels nor ports:
        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DaemonContainerDefinition.html
        """
        return ":daemon-task-definition/" in self.definition


@dataclass(frozen=True, slots=True)
class Container:
    """`ports` are its mapped TCP ports; `health_checked` says that ECS watches its health."""

    name: str
    labels: Mapping[str, str]
    ports: tuple[int, ...]
    health_checked: bool


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    family: str
    revision: int
    containers: tuple[Container, ...]


def task_id(arn: str) -> str:
    return arn.rpartition("/")[2]


def task_from(described: TaskTypeDef) -> Task:
    """Raises one of `UNREADABLE`."""
    group = _text(described.get("group", ""))
    kind, _, name = group.partition(":")
    version = described.get("version")
    return Task(
        group=group,
        stop_reason=stop_reason(described) if described.get("desiredStatus") == STOPPED else "",
        id=task_id(described["taskArn"]),
        definition=_text(described["taskDefinitionArn"]),
        service=name if kind == "service" and name else None,
        version=None if version is None else int(version),
        last_status=_text(described.get("lastStatus", "")),
        desired_status=_text(described.get("desiredStatus", "")),
        zone=_text(described.get("availabilityZone", "")),
        address=_address(described),
        started_at=_seconds(described.get("startedAt")),
        healthy=_containers(described, "HEALTHY"),
        unhealthy=_containers(described, "UNHEALTHY"),
        created_at=_seconds(described.get("createdAt")),
        stopping_at=_seconds(described.get("stoppingAt")),
        started_by=_text(described.get("startedBy", "")),
        exited=frozenset(
            _text(container.get("name", ""))
            for container in described.get("containers", [])
            if container.get("lastStatus") == STOPPED
        ),
    )


def stop_reason(described: Mapping[str, Any] | TaskTypeDef) -> str:
    """ECS's words, with how containers ended, where not well: "… (app: exit code 137, OutOfMemoryError: …)"."""
    return " ".join(filter(None, (str(described.get("stoppedReason") or ""), _exits(described.get("containers")))))


def _exits(containers: Any) -> str:
    ended: list[str] = []
    for container in containers if isinstance(containers, list) else ():
        code, reason = container.get("exitCode"), container.get("reason")
        facts = [f"exit code {code}"] * (code not in (None, 0)) + [str(reason)] * bool(reason)
        if facts:
            ended.append(f"{container.get('name')}: {', '.join(facts)}")
    return f"({'; '.join(ended)})" if ended else ""


def task_definition_from(described: TaskDefinitionTypeDef) -> TaskDefinition:
    """Raises one of `UNREADABLE`."""
    return TaskDefinition(
        family=_text(described.get("family", "")),
        revision=int(described.get("revision", 0)),
        containers=tuple(
            Container(
                name=_text(container.get("name", "")),
                labels={_text(name): _text(value) for name, value in container.get("dockerLabels", {}).items()},
                ports=tuple(_tcp_ports(container.get("portMappings", []))),
                health_checked="healthCheck" in container,
            )
            for container in described.get("containerDefinitions", [])
        ),
    )


def _tcp_ports(mappings: Iterable[PortMappingTypeDef]) -> Iterator[int]:
    """Those of ranges too: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PortMapping.html"""
    for mapping in mappings:
        if mapping.get("protocol", "tcp") != "tcp":
            continue  # gRPC speaks TCP
        if "containerPort" in mapping:
            yield int(mapping["containerPort"])
        first, dash, last = mapping.get("containerPortRange", "").partition("-")
        if dash and first.isdecimal() and last.isdecimal() and int(last) <= MAX_PORT:
            yield from range(int(first), int(last) + 1)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"must be a text, got {value!r}")
    return value


def _containers(described: TaskTypeDef, health: str) -> frozenset[str]:
    return frozenset(
        _text(container.get("name", ""))
        for container in described.get("containers", [])
        if container.get("healthStatus") == health
    )


def _address(described: TaskTypeDef) -> str | None:
    """The IPv4 address, and the IPv6 address of a task that has no other; of several the first that a container has."""
    addresses = list(filter(None, map(_normalised, _addresses(described))))
    addresses.sort(key=lambda address: ":" in address)
    return addresses[0] if addresses else None


def _addresses(described: TaskTypeDef) -> Iterator[str]:
    for container in described.get("containers", []):
        for interface in container.get("networkInterfaces", []):
            yield interface.get("privateIpv4Address", "")
            yield interface.get("ipv6Address", "")
    for attachment in described.get("attachments", []):
        if attachment.get("type") == "ElasticNetworkInterface" and attachment.get("status") not in _NOT_ATTACHED:
            for detail in attachment.get("details", []):
                if detail.get("name", "").lower() in _ADDRESSES:
                    yield detail.get("value", "")


def _normalised(address: str) -> str | None:
    """None for what is none, or reaches nothing from elsewhere."""
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return None
    return None if read.is_unspecified or read.is_link_local or "%" in address else str(read)
