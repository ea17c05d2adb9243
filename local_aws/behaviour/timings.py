"""AWS's documented numbers in one place, and the switches to do without them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from random import Random


@dataclass(frozen=True, slots=True)
class Latency:
    """The time of one API call: log-normal, as response times are, so that the median has a long tail.

    With the defaults four of five calls take 20 to 100 ms, and one in a hundred more than 200 ms. In seconds.
    """

    median: float = 0.05
    sigma: float = 0.6
    longest: float = 1.0

    def draw(self, chance: Random) -> float:
        if self.median <= 0:
            return 0.0
        return min(self.longest, chance.lognormvariate(math.log(self.median), self.sigma))


@dataclass(frozen=True, slots=True)
class Quota:
    """A token bucket: `burst` calls at once, refilled with `per_second` calls a second."""

    per_second: float
    burst: float


# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
ECS_READS, DEFINITION_READS = Quota(20, 100), Quota(20, 50)
# https://docs.aws.amazon.com/general/latest/gr/ssm.html, default throughput. AWS names no burst: one second's worth.
PARAMETER_READS, PARAMETER_WRITES = Quota(40, 40), Quota(3, 3)

QUOTAS = {
    "ecs reads": ECS_READS,
    "task definition reads": DEFINITION_READS,
    "parameter reads": PARAMETER_READS,
    "parameter writes": PARAMETER_WRITES,
}
"""By the name of the bucket, which all its operations share."""

BUCKET_OF = {
    "ListTasks": "ecs reads",
    "DescribeTasks": "ecs reads",
    "ListServices": "ecs reads",
    "DescribeServices": "ecs reads",
    "DescribeContainerInstances": "ecs reads",
    "DescribeTaskDefinition": "task definition reads",
    "GetParameter": "parameter reads",
    "GetParameters": "parameter reads",
    "GetParametersByPath": "parameter reads",
    "PutParameter": "parameter writes",
    "DeleteParameters": "parameter writes",
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """How EventBridge and SQS deliver an event: late by `earliest` to `latest` seconds, each on its own, so that events
    overtake one another; and with `repeated` probability once more.
    """

    earliest: float = 0.1
    latest: float = 2.0
    repeated: float = 0.02

    def delays(self, chance: Random) -> tuple[float, ...]:
        """The delay of each copy of one event, in seconds; at least one."""
        copies = 2 if chance.random() < self.repeated else 1
        return tuple(chance.uniform(self.earliest, self.latest) for _ in range(copies))


@dataclass(frozen=True, slots=True)
class Staleness:
    """With this `probability` DescribeTasks shows tasks as they were up to `longest` seconds ago."""

    probability: float = 0.1
    longest: float = 1.5

    def lag(self, chance: Random) -> float:
        return chance.uniform(0, self.longest) if chance.random() < self.probability else 0.0


@dataclass(frozen=True, slots=True)
class Functions:
    """How Lambda runs functions: an environment is taken away with this `cold` probability before an invocation.
    "Cold starts typically occur in under 1% of invocations":
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
    """

    cold: float = 0.01
    full_cpu_megabytes: int = 1769
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html: one vCPU; less memory, a part of one."""

    def cpu_share(self, megabytes: int) -> float:
        """Of one CPU. A function whose Python runs on one CPU at a time gains nothing above 1."""
        return min(1.0, megabytes / self.full_cpu_megabytes)


@dataclass(frozen=True, slots=True)
class Start:
    """The seconds in which a task is PROVISIONING: as on an EC2 instance that has the image (on Fargate 20 to 60), and
    longer than the latest event, the Lambda and the balancers together need to learn of it.
    """

    shortest: float = 4.0
    longest: float = 5.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What AWS does to a caller. An NLB takes a target group's whole delay to let go of a target (300 s by default); a
    stand-in takes `deregistration_share` of it.
    """

    latency: Latency = field(default_factory=Latency)
    quotas: bool = True
    delivery: Delivery = field(default_factory=Delivery)
    staleness: Staleness = field(default_factory=Staleness)
    functions: Functions = field(default_factory=Functions)
    start: Start = field(default_factory=Start)
    deregistration_share: float = 0.01


DOCUMENTED = Profile()
INSTANT = replace(
    DOCUMENTED,
    latency=Latency(median=0),
    quotas=False,
    delivery=Delivery(0, 0, 0),
    staleness=Staleness(0, 0),
    functions=Functions(cold=0),
    start=Start(0, 0),
)
"""What a stand-in does of itself."""
