"""The task metadata endpoint, version 4, on the run's own address. An outage of AWS does not touch it, as on ECS.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-response.html
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local_aws.errors import LocalAwsError
from local_aws.stand_in.ecs.records import Record, iso_time


def serve(address: tuple[str, int], find: Callable[[str], Record]) -> ThreadingHTTPServer:
    """Answer from the tasks that FIND finds by id, until the process ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, answer = respond(self.path, find)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(address, Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metadata", daemon=True).start()
    return server


def respond(path: str, find: Callable[[str], Record]) -> tuple[int, Any]:
    """/v4/TASK/CONTAINER is the container; with /task after it, its task."""
    parts = path.strip("/").split("/")
    if len(parts) not in (3, 4) or parts[0] != "v4":
        return 404, f"a path must be /v4/TASK/CONTAINER, got {path}"
    try:
        task = find(parts[1])
    except LocalAwsError as error:
        return 404, str(error)
    if len(parts) == 4:
        return (200, describe_task(task)) if parts[3] == "task" else (404, f"task must be asked for, got {parts[3]}")
    found = [container for container in task["containers"] if container["name"] == parts[2]]
    return (200, describe_container(task, found[0])) if found else (404, f"no container named {parts[2]}")


def describe_task(task: Record) -> dict[str, Any]:
    family, _, revision = str(task["taskDefinitionArn"]).rpartition("/")[2].rpartition(":")
    return {
        "Cluster": task["clusterArn"],
        "TaskARN": task["taskArn"],
        "Family": family,
        "Revision": revision,
        "ServiceName": str(task["group"]).partition(":")[2],
        "DesiredStatus": task["desiredStatus"],
        "KnownStatus": task["lastStatus"],
        "Limits": {"CPU": int(task["cpu"]) / 1024, "Memory": int(task["memory"])},
        "AvailabilityZone": task["availabilityZone"],
        "LaunchType": task["launchType"],
        "Containers": [describe_container(task, container) for container in task["containers"]],
    }


def describe_container(task: Record, container: Mapping[str, Any]) -> dict[str, Any]:
    family, _, revision = str(task["taskDefinitionArn"]).rpartition("/")[2].rpartition(":")
    return {
        "DockerId": str(task["taskArn"]).rpartition("/")[2] + "-" + str(container["name"]),
        "Name": container["name"],
        "DockerName": container["name"],
        "Image": container["image"],
        "Labels": {
            "com.amazonaws.ecs.cluster": task["clusterArn"],
            "com.amazonaws.ecs.container-name": container["name"],
            "com.amazonaws.ecs.task-arn": task["taskArn"],
            "com.amazonaws.ecs.task-definition-family": family,
            "com.amazonaws.ecs.task-definition-version": revision,
        },
        "DesiredStatus": task["desiredStatus"],
        "KnownStatus": container["lastStatus"],
        "CreatedAt": iso_time(task["createdAt"]),
        "ContainerARN": container["containerArn"],
        "Type": "NORMAL",
        "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": [task["_address"]]}],
    }
