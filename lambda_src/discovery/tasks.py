"""ECS's answers as small types of our own: the shapes of AWS end here."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import TaskDefinitionTypeDef, TaskTypeDef

# lastStatus goes PROVISIONING, PENDING, ACTIVATING, RUNNING, DEACTIVATING, STOPPING, DEPROVISIONING, STOPPED:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
RUNNING = "RUNNING"
STOPPED = "STOPPED"
LEAVING = frozenset({"DEACTIVATING", "STOPPING", "DEPROVISIONING", STOPPED, "DELETED"})
MAY_HAVE_CALLS = frozenset({RUNNING, "DEACTIVATING", "STOPPING"})
"""From DEPROVISIONING on, the containers have stopped."""


@dataclass(frozen=True, slots=True)
class Task:
    """`id` is the last part of the ARN, `definition` an ARN, `service` the ECS service's name (None for tasks that none
    runs), `version` None where unknown, `started_at` in seconds since 1970, `healthy` the containers whose health check
    passes, `unhealthy` those whose health check fails; of any other nothing is known. `created_at` and `stopping_at`
    are like `started_at`; `started_by` names the deployment of the ECS service.
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


@dataclass(frozen=True, slots=True)
class Container:
    """`ports` are the mapped container ports; `health_checked` says that ECS watches the container's health."""

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
    kind, _, name = described.get("group", "").partition(":")
    return Task(
        id=task_id(described["taskArn"]),
        definition=described["taskDefinitionArn"],
        service=name if kind == "service" and name else None,
        version=described.get("version"),
        last_status=described.get("lastStatus", ""),
        desired_status=described.get("desiredStatus", ""),
        zone=described.get("availabilityZone", ""),
        address=next((address for address in _addresses(described) if _is_ipv4(address)), None),
        started_at=_seconds(described.get("startedAt")),
        healthy=_containers(described, "HEALTHY"),
        unhealthy=_containers(described, "UNHEALTHY"),
        created_at=_seconds(described.get("createdAt")),
        stopping_at=_seconds(described.get("stoppingAt")),
        started_by=described.get("startedBy", ""),
    )


def task_definition_from(described: TaskDefinitionTypeDef) -> TaskDefinition:
    return TaskDefinition(
        family=described.get("family", ""),
        revision=described.get("revision", 0),
        containers=tuple(
            Container(
                name=container.get("name", ""),
                labels=dict(container.get("dockerLabels", {})),
                ports=tuple(
                    mapping["containerPort"]
                    for mapping in container.get("portMappings", [])
                    if "containerPort" in mapping
                ),
                health_checked="healthCheck" in container,
            )
            for container in described.get("containerDefinitions", [])
        ),
    )


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _containers(described: TaskTypeDef, health: str) -> frozenset[str]:
    return frozenset(
        container.get("name", "")
        for container in described.get("containers", [])
        if container.get("healthStatus") == health
    )


def _addresses(described: TaskTypeDef) -> Iterator[str]:
    for attachment in described.get("attachments", []):
        if attachment.get("type") == "ElasticNetworkInterface":
            for detail in attachment.get("details", []):
                if detail.get("name") == "privateIPv4Address":
                    yield detail.get("value", "")
    for container in described.get("containers", []):
        for interface in container.get("networkInterfaces", []):
            yield interface.get("privateIpv4Address", "")


def _is_ipv4(address: str) -> bool:
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return True
