"""Deployments in which something else than the tasks' state says when they get calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb.synth_checks import check_at_synth
from cdk_grpc_lb.validation import Props

_ROLLING = "ROLLING"
_ECS = "ECS"


def refuse_traffic_shift(props: Props, service: ecs.BaseService) -> None:
    """Raise ValueError for a service whose deployments shift traffic themselves: now, and at synth if it is one then.

    ECS and CodeDeploy shift the traffic of their own load balancers, and tell nobody else. A green task that runs would
    get its share of the calls here before it was tested, and a blue one keep its share through the bake time.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-blue-green.html
    """
    problem = _problem(props, service)
    if problem is not None:
        raise problem
    check_at_synth(service, _AtSynth(props, service).validate)


class _AtSynth:
    def __init__(self, props: Props, service: ecs.BaseService) -> None:
        self._props = props
        self._service = service

    def validate(self) -> list[str]:
        problem = _problem(self._props, self._service)
        return [] if problem is None else [str(problem)]


def _problem(props: Props, service: ecs.BaseService) -> ValueError | None:
    resource = service.node.find_child("Service")
    if not isinstance(resource, ecs.CfnService):
        return None
    said = cast("Mapping[str, Any]", cdk.Stack.of(service).resolve(resource._cfn_properties))
    controller = (said.get("deploymentController") or {}).get("type", _ECS)
    strategy = (said.get("deploymentConfiguration") or {}).get("strategy", _ROLLING)
    if controller == _ECS and strategy == _ROLLING:
        return None
    got = f"the deployment controller {controller}" if controller != _ECS else f"the deployment strategy {strategy}"
    return props.error(
        "service",
        "one with rolling deployments (deployment controller ECS, strategy ROLLING), because only a load balancer of "
        "ECS learns when blue/green traffic shifts: untested green tasks would get calls at once (for a canary, "
        "run a second ECS service of the same service_name with a weight; see docs/how-to/canary.md, Blue/green)",
        got,
    )
