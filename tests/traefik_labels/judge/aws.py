"""ECS's and SSM's APIs on loopback, in AWS's JSON 1.1: one cluster, which Traefik, the Lambda and the balancer read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.lambda_src.fake_aws import CLUSTER, REGION, FakeAws, definition_arn, interface, task_arn, task_name
from tests.traefik_labels.judge import backends
from tests.traefik_labels.judge.sets import Job

Json = dict[str, Any]


class Cluster:
    """What runs. Task definitions have new names with each batch: Traefik keeps those that it has read."""

    def __init__(self) -> None:
        self.aws = FakeAws()
        self._tasks = 0
        self._batches = 0

    def run(self, jobs: Iterable[tuple[str, Job]], marker: tuple[str, Job]) -> str:
        """Have these tasks and no other, each job with its family; gives the address of the marker's."""
        tasks, definitions = dict[str, Json](), dict[str, Json]()
        self._batches += 1
        family, job = marker
        ip = backends.marker(self._batches)
        arn, name = definition_arn(family), task_name(10**6 + self._batches)
        definitions[arn] = definition_of(family, job, arn)
        tasks[name] = task_of(name, ip, family, job, arn)
        for family, job in jobs:
            arn = definition_arn(family, job.revision)
            definitions[arn] = definition_of(family, job, arn)
            for _ in range(job.tasks):
                self._tasks += 1
                name = task_name(self._tasks)
                tasks[name] = task_of(name, backends.address(self._tasks), family, job, arn)
        self.aws.tasks, self.aws.definitions = tasks, definitions
        return ip

    @contextmanager
    def serve(self) -> Iterator[str]:
        """The endpoint's URL."""
        cluster = self

        class Handler(_Handler):
            aws = cluster.aws

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()


def definition_of(family: str, job: Job, arn: str) -> Json:
    return {
        "taskDefinitionArn": arn,
        "family": family,
        "revision": job.revision,
        "networkMode": "awsvpc",
        "containerDefinitions": [
            {
                "name": box.name,
                "dockerLabels": dict(box.labels),
                "portMappings": [{"containerPort": port, "hostPort": port, "protocol": "tcp"} for port in box.ports],
            }
            for box in job.boxes
        ],
    }


def task_of(name: str, ip: str, family: str, job: Job, arn: str) -> Json:
    group = job.group if job.group is not None else f"family:{family}"
    return {
        "taskArn": task_arn(name),
        "clusterArn": CLUSTER,
        "taskDefinitionArn": arn,
        "group": group if job.service is None else f"service:{job.service}",
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "healthStatus": "UNKNOWN",
        "version": 3,
        "availabilityZone": f"{REGION}a",
        "startedAt": 1_780_000_000.0,
        "attachments": [interface(ip)],
        "containers": [
            {"name": box.name, "healthStatus": "UNKNOWN", "networkInterfaces": [{"privateIpv4Address": ip}]}
            for box in job.boxes
        ],
    }


class _Handler(BaseHTTPRequestHandler):
    aws: FakeAws
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    """Head and body in one packet: Traefik reads hundreds of task definitions one by one."""

    def do_POST(self) -> None:
        operation = self.headers["X-Amz-Target"].partition(".")[2]
        parameters = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = self._answer(operation, parameters)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, operation: str, parameters: Json) -> tuple[int, Json]:
        match operation:
            case "ListClusters":
                return 200, {"clusterArns": [CLUSTER]}
            case "ListTasks":
                # Traefik leaves the size of a page to ECS, which then makes it 100.
                parameters = {"maxResults": 100, **parameters}
            case "DescribeTasks":
                parameters["tasks"] = [arn.rpartition("/")[2] for arn in parameters["tasks"]]
            case "DescribeContainerInstances":
                return 200, {"containerInstances": [], "failures": []}
        answer: tuple[int, Json] = getattr(self.aws, f"_{operation}")(parameters)
        return answer

    def log_message(self, *_: object) -> None:
        """Nothing."""
