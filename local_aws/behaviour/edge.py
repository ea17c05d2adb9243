"""What a call meets at AWS's edge before it is answered: its latency, its quota, the limits of what it brings."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from local_aws.behaviour.quotas import Quotas
from local_aws.behaviour.timings import Profile

# https://docs.aws.amazon.com/general/latest/gr/ssm.html
STANDARD_PARAMETER_BYTES, ADVANCED_PARAMETER_BYTES = 4096, 8192
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html, Value
_NESTED_PARAMETER = re.compile(r"\{\{.*\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AwsRejection:
    """The error in the place of an answer: HTTP status 400, `code` as in botocore's `ClientError`."""

    code: str
    message: str

    @property
    def body(self) -> dict[str, str]:
        """As AWS's JSON protocols write it."""
        return {"__type": self.code, "message": self.message}


@dataclass(frozen=True, slots=True)
class Met:
    """The call takes `seconds`, and is answered by `rejection` where that is not None."""

    seconds: float
    rejection: AwsRejection | None = None


class Edge:
    """Judges calls by a profile. Safe to use from several threads. The same seed gives the same cold starts, and to one
    thread the same of everything.
    """

    def __init__(self, profile: Profile, seed: int) -> None:
        self.quotas = Quotas()
        self._profile = profile
        self._chance = Random(seed)  # noqa: S311 - the same run again, not a secret
        # A generator of its own: the order in which concurrent calls draw from the other must not move the cold starts.
        self._environments = Random(f"environments {seed}")  # noqa: S311 - the same
        self._lock = threading.Lock()

    def meet(self, operation: str, parameters: Mapping[str, Any], now: float) -> Met:
        with self._lock:
            seconds = self._profile.latency.draw(self._chance)
        if self._profile.quotas and not self.quotas.allow(operation, now):
            return Met(seconds, AwsRejection("ThrottlingException", "Rate exceeded"))
        return Met(seconds, rejected_value(operation, parameters))

    def delays(self) -> tuple[float, ...]:
        """The delay of each copy of one event."""
        with self._lock:
            return self._profile.delivery.delays(self._chance)

    def lag(self) -> float:
        """How old the state is that a DescribeTasks shows."""
        with self._lock:
            return self._profile.staleness.lag(self._chance)

    def start_seconds(self) -> float:
        """How long the next task is PROVISIONING."""
        start = self._profile.start
        with self._lock:
            return self._chance.uniform(start.shortest, start.longest)

    def is_cold(self) -> bool:
        """Whether the next invocation finds its environment taken away."""
        with self._lock:
            return self._environments.random() < self._profile.functions.cold


def rejected_value(operation: str, parameters: Mapping[str, Any]) -> AwsRejection | None:
    """The rejection of a PutParameter whose value its tier does not hold, or that has double braces."""
    if operation != "PutParameter":
        return None
    tier = parameters.get("Tier") or "Standard"
    limit = STANDARD_PARAMETER_BYTES if tier == "Standard" else ADVANCED_PARAMETER_BYTES
    value = str(parameters.get("Value", ""))
    if len(value.encode()) > limit:
        problem = f"{tier} tier parameters support a maximum parameter value of {limit} characters."
    elif _NESTED_PARAMETER.search(value):
        problem = 'Parameter value can\'t nest another parameter. Do not use "{{}}" in the value.'
    else:
        return None
    return AwsRejection("ValidationException", problem)


def gone_definition(arn: str, *, inactive: bool, referenced: bool) -> AwsRejection | None:
    """ECS describes an INACTIVE definition only while something refers to it, and may forget it at any time.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deregister-task-definition-v2.html
    """
    if not inactive or referenced:
        return None
    return AwsRejection("ClientException", f"Unable to describe task definition. ({arn})")
