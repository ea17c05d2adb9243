"""Before ministack's answers: what AWS does to the calls of tasks and functions, which ministack does to none.

A task or function calls with its role's name for a session token. Each call is asked of the role's policies, and takes
AWS's time and counts on its quotas where the run has a seed. Calls of people and of the CDK pass as they are.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from local_aws.behaviour.edge import AwsRejection, Edge, gone_definition
from local_aws.behaviour.evaluator import is_allowed_by
from local_aws.behaviour.history import History
from local_aws.behaviour.permissions import Place, denied, needed

log = logging.getLogger("local_aws")

SERVICES = {"AmazonSSM": "ssm", "AmazonEC2ContainerServiceV20141113": "ecs"}
"""What X-Amz-Target begins with, and IAM's name of the service."""
JSON_TYPE = "application/x-amz-json-1.1"

Response = tuple[int, dict[str, str], Any]
Dispatch = Callable[..., Awaitable[Response]]


class Gate:
    """`is_gone` says whether a task definition, by its ARN, is INACTIVE and unreferenced; `policies` gives those of
    a role, by its name, as ministack reads them.
    """

    def __init__(
        self,
        edge: Edge,
        place: Place,
        history: History,
        *,
        is_gone: Callable[[str], bool],
        policies: Callable[[str], Any],
    ) -> None:
        self._edge, self._place, self._history = edge, place, history
        self._is_gone, self._policies = is_gone, policies

    def before(self, dispatch: Dispatch) -> Dispatch:
        """ministack's dispatch of a request, behind this gate."""

        async def dispatched(
            method: str, path: str, headers: dict[str, str], body: bytes, *more: Any, **named: Any
        ) -> Response:
            role = headers.get("x-amz-security-token", "")
            target, _, operation = headers.get("x-amz-target", "").partition(".")
            if ":role/" not in role or target not in SERVICES:
                return await dispatch(method, path, headers, body, *more, **named)
            parameters = json.loads(body or b"{}")
            met = self._edge.meet(operation, parameters, time.monotonic())
            await asyncio.sleep(met.seconds)
            rejection = (
                met.rejection or self._denial(role, SERVICES[target], operation, parameters) or self._gone(parameters)
            )
            if rejection is not None:
                log.warning("%s of %s: %s", operation, role.rpartition("/")[2], rejection.message)
                return 400, {"Content-Type": JSON_TYPE}, json.dumps(rejection.body).encode()
            response = await dispatch(method, path, headers, body, *more, **named)
            return self._as_it_was(response) if operation == "DescribeTasks" else response

        return dispatched

    def _denial(self, role: str, service: str, operation: str, parameters: Mapping[str, Any]) -> AwsRejection | None:
        policies = self._policies(role.rpartition("/")[2])
        for question in needed(service, operation, parameters, self._place):
            if not is_allowed_by(policies, question, self._place):
                return denied(role, question)
        return None

    def _gone(self, parameters: Mapping[str, Any]) -> AwsRejection | None:
        arn = str(parameters.get("taskDefinition", ""))
        return gone_definition(arn, inactive=True, referenced=False) if arn and self._is_gone(arn) else None

    def _as_it_was(self, response: Response) -> Response:
        status, headers, body = response
        lag = self._edge.lag()
        if status != 200 or lag == 0:
            return response
        answer = json.loads(body)
        moment = time.time() - lag
        answer["tasks"] = [self._history.at(task["taskArn"], moment) or task for task in answer["tasks"]]
        return status, {**headers, "Content-Type": JSON_TYPE}, json.dumps(answer).encode()
