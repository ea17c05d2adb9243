"""The balancers of a cluster, so that the page of each can ask the others."""

from __future__ import annotations

from dataclasses import dataclass

from grpc_lb_contract.names import (
    MAX_PORT,
    TASK_ID,
    TASK_ID_RULE,
    ZONE,
    ZONE_RULE,
    host_port,
    must_be_address,
    must_be_within,
    must_match,
)

BALANCER_LABEL = "cdk-grpc-lb.balancer"
"""The docker label of a balancer's container: its parameter prefix, which the balancers of one construct share."""
REGISTERED_LABEL = "cdk-grpc-lb.registered-with"
"""The docker label of a service's container: the names of the balancers that it was registered with, with commas."""
PREFIX_ROOT = "/grpc-lb/"
WEB_PORT = 8080
"""Where a balancer's container serves its page."""
MAX_BALANCERS = 50
MAX_NAME = 512


def name_of(prefix: str) -> str:
    """What tells a balancer apart where its parameter prefix would only be longer."""
    return prefix.removeprefix(PREFIX_ROOT)


@dataclass(frozen=True, slots=True, order=True)
class Balancer:
    """A balancer task that runs; `port` is that of its page, `name` says whose it is, "" where nothing does."""

    ip: str
    port: int = WEB_PORT
    zone: str = ""
    task: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        must_be_address("ip", self.ip)
        must_be_within("port", self.port, 1, MAX_PORT)
        must_match(ZONE, "zone", self.zone, ZONE_RULE)
        if self.task:
            must_match(TASK_ID, "task", self.task, TASK_ID_RULE)
        if not isinstance(self.name, str):
            raise TypeError(f"the name of a balancer must be a text, got {self.name!r}")
        if len(self.name) > MAX_NAME:
            raise ValueError(f"the name of a balancer must have at most {MAX_NAME} characters, got {len(self.name)}")

    @property
    def address(self) -> str:
        return host_port(self.ip, self.port)
