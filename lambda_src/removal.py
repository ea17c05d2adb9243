"""The parameters of a balancer, removed with its stack: a CloudFormation custom resource.

The protocol: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from grpc_lb_contract import index_parameter, shard_parameter
from lambda_src import log
from lambda_src.discovery.saved_definitions import definitions_path
from lambda_src.parameters import chunks, parameters_below

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

PREFIX_PROPERTY = "ParameterPrefix"
RETAIN_PROPERTY = "Retain"
# A refresh that was running when its queue was cut off may write once more.
_PAUSE_SECONDS = 5.0
_ATTEMPTS = Config(retries={"mode": "standard", "total_max_attempts": 10})
_MAX_REASON = 1000


def is_request(event: Any) -> bool:
    """Whether CloudFormation asks, and not the queue."""
    return isinstance(event, dict) and "RequestType" in event


def answer(event: Mapping[str, Any]) -> None:
    """Deletes every parameter below the prefix when the resource is deleted and they are not to stay; otherwise there
    is nothing to do.
    """
    log.configure()
    prefix = str(event["ResourceProperties"][PREFIX_PROPERTY])
    stays = event["ResourceProperties"].get(RETAIN_PROPERTY) == "true"
    # What a stack of another prefix had is named by the physical id, since that is the prefix.
    named = str(event.get("PhysicalResourceId") or prefix)
    status, reason = "SUCCESS", ""
    # CloudFormation makes up an id where creating was never answered: nothing has been written then, and a failure here
    # would leave the rollback stuck.
    if event["RequestType"] == "Delete" and not stays and named.startswith("/"):
        try:
            remove(boto3.client("ssm", config=_ATTEMPTS), named)
        except Exception as error:
            log.error("parameters not removed", prefix=prefix, error=type(error).__name__, problem=str(error))
            status, reason = "FAILED", f"{type(error).__name__}: {error}"[:_MAX_REASON]
    _answer(event, status, reason, prefix)


def remove(ssm: SSMClient, prefix: str) -> int:
    """Delete all, and again after a pause, until there was nothing left. Returns how many there were."""
    removed = 0
    while names := _names(ssm, prefix):
        for chunk in chunks(names):
            ssm.delete_parameters(Names=chunk)
        removed += len(names)
        time.sleep(_PAUSE_SECONDS)
    log.info("parameters removed", prefix=prefix, parameters=removed)
    return removed


def _names(ssm: SSMClient, prefix: str) -> list[str]:
    # Not by the prefix itself: the function's role names what is below it.
    paths = shard_parameter(prefix, "").rstrip("/"), definitions_path(prefix)
    below = [name for path in paths for name, _ in parameters_below(ssm, path)]
    index = ssm.get_parameters(Names=[index_parameter(prefix)])["Parameters"]
    return [*(parameter["Name"] for parameter in index), *below]


def _answer(event: Mapping[str, Any], status: str, reason: str, prefix: str) -> None:
    answer = {
        "Status": status,
        "Reason": reason,
        # Another prefix is another resource, so that CloudFormation deletes the old one after an update.
        "PhysicalResourceId": event.get("PhysicalResourceId") if event["RequestType"] == "Delete" else prefix,
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    request = urllib.request.Request(  # noqa: S310 - CloudFormation's own address
        event["ResponseURL"], data=json.dumps(answer).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=20):  # noqa: S310 - as above
        pass
