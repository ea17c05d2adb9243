"""Writes what the cluster's tasks are, as ECS tells it, to a parameter."""

from __future__ import annotations

import json
import os

import boto3


def handler(_event: object, _context: object) -> None:
    ecs, ssm = boto3.client("ecs"), boto3.client("ssm")
    arns = ecs.list_tasks(cluster=os.environ["CLUSTER"])["taskArns"]
    tasks = ecs.describe_tasks(cluster=os.environ["CLUSTER"], tasks=arns)["tasks"] if arns else []
    value = {task["taskArn"]: [task["version"], task["lastStatus"]] for task in tasks}
    ssm.put_parameter(Name=os.environ["PARAMETER"], Value=json.dumps(value), Type="String", Overwrite=True)
