"""What AWS asks the policies of a caller for each call: actions, resources, and the keys that conditions see.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html and
list_awssystemsmanager.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_aws.behaviour.edge import AwsRejection


@dataclass(frozen=True, slots=True)
class Needed:
    """One question to the policies: whether `action` is allowed on `resource`, an ARN or *; `context` holds the
    condition keys that AWS sets for this action, and no other.
    """

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where calls are made: what their ARNs begin with."""

    region: str
    account: str
    partition: str = "aws"

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


def needed(service: str, operation: str, parameters: Mapping[str, Any], place: Place) -> tuple[Needed, ...]:
    """All that must be allowed for a call; one question for each resource that it names."""
    action = f"{service}:{operation}"
    match operation:
        case "ListTasks":
            # With a container instance it would be that one; without, no resource type but the condition key applies.
            return (Needed(action, "*", _cluster_key(parameters, place)),)
        case "DescribeTasks":
            kind, names = "task", parameters.get("tasks", ())
        case "DescribeServices":
            kind, names = "service", parameters.get("services", ())
        case "DescribeTaskDefinition":
            return (Needed(action, "*"),)  # knows neither resource types nor condition keys
        case "GetParameter" | "PutParameter":
            return (Needed(action, _parameter(parameters["Name"], place)),)
        case "GetParameters" | "DeleteParameters":
            return tuple(Needed(action, _parameter(name, place)) for name in parameters.get("Names", ()))
        case "GetParametersByPath":
            return (Needed(action, _parameter(parameters["Path"], place)),)
        case _:
            return (Needed(action, "*"),)
    cluster = _cluster(parameters).rpartition("/")[2]
    key = _cluster_key(parameters, place)
    return tuple(
        Needed(action, name if name.startswith("arn:") else place.arn("ecs", f"{kind}/{cluster}/{name}"), key)
        for name in names
    )


def denied(caller: str, question: Needed) -> AwsRejection:
    """As AWS says it."""
    return AwsRejection(
        "AccessDeniedException",
        f"User: {caller} is not authorized to perform: {question.action} on resource: {question.resource} "
        f"because no identity-based policy allows the {question.action} action",
    )


def _cluster(parameters: Mapping[str, Any]) -> str:
    return str(parameters.get("cluster") or "default")


def _cluster_key(parameters: Mapping[str, Any], place: Place) -> tuple[tuple[str, str], ...]:
    cluster = _cluster(parameters)
    return (("ecs:cluster", cluster if cluster.startswith("arn:") else place.arn("ecs", f"cluster/{cluster}")),)


def _parameter(name: str, place: Place) -> str:
    """A name with slashes has its first one left out: arn:…:parameter/a/b is /a/b."""
    return place.arn("ssm", f"parameter/{name.lstrip('/')}")
