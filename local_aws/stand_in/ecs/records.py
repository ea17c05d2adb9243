"""A task as ECS shows it: the record that DescribeTasks returns, and the event of each change."""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

Record = dict[str, Any]
"""ministack's own shape: DescribeTasks' fields, with private ones under a leading underscore."""

# The way of a task that is in no load balancer skips DEACTIVATING.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
PROVISIONING, PENDING, RUNNING = "PROVISIONING", "PENDING", "RUNNING"
DEACTIVATING, STOPPING, DEPROVISIONING, STOPPED = "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"


def new_task(
    definition: Mapping[str, Any],
    *,
    cluster_arn: str,
    group: str,
    started_by: str,
    launch_type: str,
    address: str,
    subnet: str,
    zone: str,
    overrides: Mapping[str, Any] | None = None,
    deployment: str | None = None,
    execute_command: bool = False,
    tags: Sequence[Mapping[str, str]] = (),
) -> Record:
    task_id = uuid.uuid4().hex
    prefix, _, cluster = cluster_arn.rpartition(":cluster/")
    arn = f"{prefix}:task/{cluster}/{task_id}"
    attachment = str(uuid.uuid4())
    now = time.time()
    return {
        "taskArn": arn,
        "clusterArn": cluster_arn,
        "taskDefinitionArn": definition["taskDefinitionArn"],
        "group": group,
        "startedBy": started_by,
        "launchType": launch_type,
        "lastStatus": PROVISIONING,
        "desiredStatus": RUNNING,
        "version": 1,
        "availabilityZone": zone,
        "attachments": [
            {
                "id": attachment,
                "type": "ElasticNetworkInterface",
                "status": "ATTACHED",
                "details": [
                    {"name": "subnetId", "value": subnet},
                    {"name": "networkInterfaceId", "value": f"eni-{uuid.uuid4().hex[:17]}"},
                    {"name": "macAddress", "value": mac_address(address)},
                    {"name": "privateDnsName", "value": f"ip-{address.replace('.', '-')}.ec2.internal"},
                    {"name": "privateIPv4Address", "value": address},
                ],
            }
        ],
        "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
        "containers": [
            {
                "containerArn": f"{prefix}:container/{cluster}/{task_id}/{uuid.uuid4()}",
                "taskArn": arn,
                "name": container["name"],
                "image": container["image"],
                "lastStatus": PENDING,
                "networkInterfaces": [{"attachmentId": attachment, "privateIpv4Address": address}],
                "healthStatus": "UNKNOWN",
                "cpu": str(container.get("cpu", 0)),
                "memory": str(container.get("memory", "")) or None,
            }
            for container in definition["containerDefinitions"]
        ],
        "healthStatus": "UNKNOWN",
        "connectivity": "CONNECTED",
        "connectivityAt": now,
        "createdAt": now,
        "pullStartedAt": now,
        "pullStoppedAt": None,
        "startedAt": None,
        "stoppingAt": None,
        "executionStoppedAt": None,
        "stoppedAt": None,
        "stopCode": None,
        "stoppedReason": None,
        "cpu": definition.get("cpu") or "256",
        "memory": definition.get("memory") or "512",
        "platformVersion": "1.4.0",
        "platformFamily": "Linux",
        "ephemeralStorage": {"sizeInGiB": 20},
        "enableExecuteCommand": execute_command,
        "overrides": copy.deepcopy(dict(overrides)) if overrides else container_overrides(definition),
        "tags": list(tags),
        "_address": address,
        "_deployment_id": deployment,
        "_pids": {},
        "_taken_in": False,
        "_unhealthy_since": None,
    }


def container_overrides(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {"containerOverrides": [{"name": container["name"]} for container in definition["containerDefinitions"]]}


def mac_address(address: str) -> str:
    return "0a:00:" + ":".join(f"{int(part):02x}" for part in address.split("."))


def task_id(task: Record) -> str:
    return str(task["taskArn"]).rpartition("/")[2]


def change(
    task: Record, *, last: str | None = None, desired: str | None = None, containers: str | None = None, **fields: Any
) -> None:
    """One observable change: the version rises by one, as on ECS."""
    task["version"] += 1
    if last is not None:
        task["lastStatus"] = last
    if desired is not None:
        task["desiredStatus"] = desired
    for container in task["containers"] if containers is not None else ():
        container["lastStatus"] = containers
    task.update(fields)


def shown(task: Record) -> Record:
    """As DescribeTasks shows it: without private fields, and without those that have no value."""
    return {name: value for name, value in task.items() if not name.startswith("_") and value is not None}


def is_wanted(task: Record) -> bool:
    return bool(task["desiredStatus"] != STOPPED)


def event_detail(task: Record) -> dict[str, Any]:
    """The `detail` of "ECS Task State Change". It has no healthStatus of the task, and times are ISO strings.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html
    """
    detail = {name: value for name, value in task.items() if not name.startswith("_") and value not in (None, "")}
    for absent in ("healthStatus", "tags", "platformFamily"):
        detail.pop(absent, None)
    detail["attachments"] = [{**attachment, "type": "eni"} for attachment in task["attachments"]]
    detail["containers"] = [
        {name: value for name, value in container.items() if value is not None and name != "healthStatus"}
        for container in task["containers"]
    ]
    detail["updatedAt"] = time.time()
    return {name: iso_time(value) if name.endswith("At") else value for name, value in detail.items()}


def iso_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
