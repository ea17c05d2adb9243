"""The name of the task this process is, for the `served-by` metadata."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException

# Answers in milliseconds; a server that starts without its task id is better than one that does not start.
METADATA_TIMEOUT_SECONDS = 2.0


class TaskIdError(Exception):
    """ECS's task metadata could not be read; the message says why."""


def host_name() -> str:
    return socket.gethostname()


def read_task_id(environment: Mapping[str, str]) -> str | None:
    """Return the ECS task id, or None outside ECS. Raises TaskIdError when ECS does not tell it."""
    base = environment.get("ECS_CONTAINER_METADATA_URI_V4")
    if base is None or base == "":
        return None
    # docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-response.html
    url = f"{base}/task"
    if not url.startswith("http://"):
        raise TaskIdError(f"ECS_CONTAINER_METADATA_URI_V4 must be an http:// address, got {base!r}")
    # The address is link-local: a proxy from the environment could not reach it.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=METADATA_TIMEOUT_SECONDS) as answer:
            arn = json.load(answer)["TaskARN"]
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise TaskIdError(f"the task's metadata must be readable, got {error!r} from {url}") from error
    if not isinstance(arn, str) or not arn.isascii() or not arn.isprintable() or arn.rpartition("/")[2] == "":
        raise TaskIdError(f"the task's metadata must have a TaskARN, got {arn!r} from {url}")
    return arn.rpartition("/")[2]
