"""build/local.json: where everything is, for people, the demo and tests."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local_aws.errors import LocalAwsError

WEB_PORT, XDS_PORT = "8080", "18000"  # the balancer image's defaults


@dataclass(frozen=True, slots=True)
class State:
    """Addresses are HOST:PORT, or URLs where they begin with http. Empty: the app has no output of that name."""

    balancer: str
    comparison: str | None
    web: tuple[str, ...]
    xds: tuple[str, ...]
    aws_endpoint: str
    region: str
    stack: str
    cluster: str
    service: str
    balancer_service: str
    parameter_prefix: str
    control: str
    pid: int

    def write(self, file: Path) -> None:
        """In one move: a reader sees all of it or the one before."""
        whole = file.with_name(f".{file.name}.{os.getpid()}")
        whole.write_text(json.dumps(asdict(self), indent=2) + "\n")
        whole.replace(file)

    @classmethod
    def read(cls, file: Path) -> State:
        try:
            values = json.loads(file.read_text())
        except FileNotFoundError as error:
            raise LocalAwsError(f"the local AWS must be up, got no {file.name}; start it: make up") from error
        return cls(**values | {"web": tuple(values["web"]), "xds": tuple(values["xds"])})

    def lines(self) -> list[str]:
        """For a reader at a terminal."""
        rows = [
            ("balancer (gRPC)", self.balancer),
            ("comparison NLB (gRPC)", self.comparison),
            *(("balancer's web page", url) for url in self.web),
            *(("balancer's xDS", address) for address in self.xds),
            ("AWS endpoint", f"{self.aws_endpoint}  ({self.region}, any key)"),
            ("ECS cluster", self.cluster),
            ("ECS services", ", ".join(name for name in (self.service, self.balancer_service) if name)),
        ]
        return [f"  {name:<22} {value}" for name, value in rows if value]


def make_state(
    outputs: Mapping[str, Mapping[str, str]],
    tasks: Iterable[Mapping[str, Any]],
    *,
    aws_endpoint: str,
    region: str,
    control: Path,
) -> State:
    stack = next((name for name, values in outputs.items() if "BalancerAddress" in values), next(iter(outputs), ""))
    values = outputs.get(stack, {})
    balancers = sorted(
        (
            task
            for task in tasks
            if task["service"] == values.get("BalancerServiceName")
            and task["last_status"] == "RUNNING"
            and task["desired_status"] == "RUNNING"
        ),
        key=lambda task: str(task["ip"]),
    )
    return State(
        balancer=values.get("BalancerAddress", ""),
        comparison=values.get("ComparisonAddress"),
        web=tuple(f"http://{task['ip']}:{_setting(task, 'GRPC_LB_WEB_PORT', WEB_PORT)}" for task in balancers),
        xds=tuple(f"{task['ip']}:{_setting(task, 'GRPC_LB_XDS_PORT', XDS_PORT)}" for task in balancers),
        aws_endpoint=aws_endpoint,
        region=region,
        stack=stack,
        cluster=values.get("ClusterName", ""),
        service=values.get("ServiceName", ""),
        balancer_service=values.get("BalancerServiceName", ""),
        parameter_prefix=values.get("ParameterPrefix", ""),
        control=str(control),
        pid=os.getpid(),
    )


def _setting(task: Mapping[str, Any], name: str, default: str) -> str:
    return str(task["environment"].get(name, default))
