"""ECS and SSM behind the real boto3: requests are answered where they would leave the process."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, Protocol

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from lambda_src.clock import Clock
from lambda_src.handler import PATIENCE
from local_aws.behaviour.edge import AwsRejection, rejected_value

REGION = "eu-west-1"
ACCOUNT = "123456789012"
CLUSTER = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/main"
PREFIX = "/grpc-lb/rng/main"
NOW = 1_790_000_000.0

LABELS = {"grpc-lb.enable": "true"}

SESSION = boto3.Session("none", "none", region_name=REGION)

Answer = tuple[int, dict[str, Any]]
Json = dict[str, Any]


class Permit(Protocol):
    def __call__(self, operation: str, parameters: Json, /) -> AwsRejection | None: ...


def task_arn(task: str) -> str:
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/main/{task}"


def definition_arn(family: str, revision: int = 1) -> str:
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{family}:{revision}"


def task_name(number: int) -> str:
    """The id of a task, as ECS makes them: 32 hex digits."""
    return f"{number:032x}"


def interface(address: str) -> Json:
    return {"type": "ElasticNetworkInterface", "details": [{"name": "privateIPv4Address", "value": address}]}


def failure(kind: str, message: str = "no") -> Answer:
    return 400, {"__type": kind, "message": message}


@dataclass
class FakeAws:
    """`services` are ECS services with their status, `requests` all operations asked for, with their parameters;
    `spoil` may answer in the place of AWS.
    """

    tasks: dict[str, Json] = field(default_factory=dict)
    definitions: dict[str, Json] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, Json]] = field(default_factory=list)
    spoil: Callable[[str, Json], Answer | None] = lambda operation, parameters: None
    permit: ClassVar[Permit] = staticmethod(lambda operation, parameters: None)
    """Whether the function's role may do this; the tests' conftest has the synthesised policies say so."""
    listed: Callable[[str], bool] = lambda task: True
    """Whether ListTasks shows a task that is to run."""

    def client(self, service: str) -> Any:
        client: Any = SESSION.client(service, config=PATIENCE)  # type: ignore[call-overload]  # it wants a literal
        client.meta.events.register("before-send", self._answer)
        return client

    def operations(self, *names: str) -> list[str]:
        return [operation for operation, _ in self.requests if not names or operation in names]

    def written(self) -> list[str]:
        return [parameters["Name"] for operation, parameters in self.requests if operation == "PutParameter"]

    # A cluster

    def define(self, family: str, *, revision: int = 1, labels: Mapping[str, str] = LABELS, **container: Any) -> str:
        arn = definition_arn(family, revision)
        app = {"name": "app", "dockerLabels": dict(labels), "portMappings": [{"containerPort": 50051}], **container}
        self.definitions[arn] = {
            "taskDefinitionArn": arn,
            "family": family,
            "revision": revision,
            "containerDefinitions": [app, {"name": "sidecar", "portMappings": [{"containerPort": 9000}]}],
        }
        return arn

    def run(self, number: int, *, family: str = "rng", service: str | None = "rng", **changes: Any) -> str:
        """Have a task of a family; gives its id."""
        if definition_arn(family) not in self.definitions:
            self.define(family)
        name = task_name(number)
        self.tasks[name] = {
            "taskArn": task_arn(name),
            "clusterArn": CLUSTER,
            "taskDefinitionArn": definition_arn(family),
            "group": f"service:{service}" if service is not None else f"family:{family}",
            "lastStatus": "RUNNING",
            "desiredStatus": "RUNNING",
            "version": 3,
            "availabilityZone": f"{REGION}a",
            "startedAt": NOW - 1000,
            "attachments": [interface(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")],
            "containers": [{"name": "app", "healthStatus": "UNKNOWN"}, {"name": "sidecar"}],
            **changes,
        }
        return name

    def change(self, task: str, **changes: Any) -> None:
        self.tasks[task] |= {"version": self.tasks[task]["version"] + 1, **changes}

    def stop(self, task: str, last_status: str = "RUNNING") -> None:
        self.change(task, desiredStatus="STOPPED", lastStatus=last_status)

    def event(self, task: str, **detail: Any) -> Json:
        """The event of the state that a task is in."""
        described = self.tasks.get(task, {"desiredStatus": "RUNNING", "lastStatus": "RUNNING", "version": 3})
        names = ("desiredStatus", "lastStatus", "version")
        return {
            "version": "0",
            "detail-type": "ECS Task State Change",
            "source": "aws.ecs",
            "time": "2026-09-21T14:13:10Z",
            "detail": {"clusterArn": CLUSTER, "taskArn": task_arn(task), **{n: described[n] for n in names}, **detail},
        }

    # The edge

    def _answer(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        operation = _text(request.headers["X-Amz-Target"]).partition(".")[2]
        status, body = self.answer(operation, json.loads(_text(request.body)))
        return AWSResponse(request.url, status, HTTPHeaders(), _Raw(json.dumps(body).encode()))

    def answer(self, operation: str, parameters: Json) -> Answer:
        self.requests.append((operation, parameters))
        rejection = self.permit(operation, parameters)
        if rejection is not None:
            return 400, rejection.body
        spoilt = self.spoil(operation, parameters)
        answered: Answer = spoilt if spoilt is not None else getattr(self, f"_{operation}")(parameters)
        return answered

    def _ListTasks(self, parameters: Json) -> Answer:  # noqa: N802 - AWS's name
        running = (
            task["taskArn"]
            for name, task in self.tasks.items()
            if task["desiredStatus"] == parameters["desiredStatus"] and self.listed(name)
        )
        start, size = int(parameters.get("nextToken", "0")), parameters["maxResults"]
        *page, rest = *islice(running, start, start + size), next(running, None)
        more = {} if rest is None else {"nextToken": str(start + size)}
        return 200, {"taskArns": page, **more}

    def _DescribeTasks(self, parameters: Json) -> Answer:  # noqa: N802
        assert 0 < len(parameters["tasks"]) <= 100
        found = [self.tasks[task] for task in parameters["tasks"] if task in self.tasks]
        missing = [task for task in parameters["tasks"] if task not in self.tasks]
        return 200, {"tasks": found, "failures": [{"arn": task_arn(task), "reason": "MISSING"} for task in missing]}

    def _DescribeTaskDefinition(self, parameters: Json) -> Answer:  # noqa: N802
        return 200, {"taskDefinition": self.definitions[parameters["taskDefinition"]]}

    def _DescribeServices(self, parameters: Json) -> Answer:  # noqa: N802
        assert 0 < len(parameters["services"]) <= 10
        arn = CLUSTER.replace(":cluster/", ":service/") + "/"
        there = [name for name in parameters["services"] if name in self.services]
        return 200, {
            "services": [{"serviceName": name, "status": self.services[name]} for name in there],
            "failures": [
                {"arn": arn + name, "reason": "MISSING"} for name in parameters["services"] if name not in there
            ],
        }

    def _GetParameter(self, parameters: Json) -> Answer:  # noqa: N802
        if parameters["Name"] not in self.parameters:
            return failure("ParameterNotFound")
        return 200, {"Parameter": self._parameter(parameters["Name"])}

    def _GetParameters(self, parameters: Json) -> Answer:  # noqa: N802
        assert len(parameters["Names"]) <= 10
        there = [name for name in parameters["Names"] if name in self.parameters]
        return 200, {"Parameters": [self._parameter(name) for name in there]}

    def _GetParametersByPath(self, parameters: Json) -> Answer:  # noqa: N802
        assert parameters["MaxResults"] <= 10
        below = [name for name in self.parameters if re.fullmatch(re.escape(parameters["Path"]) + "/[^/]+", name)]
        start, size = int(parameters.get("NextToken", "0")), parameters["MaxResults"]
        more = {"NextToken": str(start + size)} if start + size < len(below) else {}
        return 200, {"Parameters": [self._parameter(name) for name in below[start : start + size]], **more}

    def _PutParameter(self, parameters: Json) -> Answer:  # noqa: N802
        assert parameters["Type"] == "String"
        assert parameters["Overwrite"] is True
        rejection = rejected_value("PutParameter", parameters)
        if rejection is not None:
            return 400, rejection.body
        self.parameters[parameters["Name"]] = parameters["Value"]
        return 200, {"Version": 1, "Tier": "Standard"}

    def _DeleteParameters(self, parameters: Json) -> Answer:  # noqa: N802
        assert len(parameters["Names"]) <= 10
        deleted = [name for name in parameters["Names"] if self.parameters.pop(name, None) is not None]
        invalid = [name for name in parameters["Names"] if name not in deleted]
        return 200, {"DeletedParameters": deleted, "InvalidParameters": invalid}

    def _parameter(self, name: str) -> Json:
        return {"Name": name, "Type": "String", "Value": self.parameters[name]}


@dataclass
class Time:
    """A clock that goes on only when someone sleeps; `later` holds what is to happen meanwhile."""

    now: float = NOW
    slept: list[float] = field(default_factory=list)
    later: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        due = [(at, happen) for at, happen in self.later if at <= self.now]
        self.later = [entry for entry in self.later if entry not in due]
        for _, happen in due:
            happen()

    def after(self, seconds: float, happen: Callable[[], object]) -> None:
        self.later.append((self.now + seconds, happen))


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = io.BytesIO(body)

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self._body.read()


def _text(value: object) -> str:
    assert isinstance(value, str | bytes)
    return value.decode() if isinstance(value, bytes) else value
