"""The number of a service's tasks follows its load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb.deployment import MOST_TASKS
from cdk_grpc_lb.misuse import Props

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch


@dataclass(frozen=True, slots=True)
class Calls:
    """What a metric of the calls of each task should be; both or neither is given."""

    metric: cloudwatch.IMetric | None = None
    per_target: float | None = None

    def check(self, props: Props) -> None:
        given = {"calls_metric": self.metric is not None, "calls_per_target": self.per_target is not None}
        for prop, other in (("calls_metric", "calls_per_target"), ("calls_per_target", "calls_metric")):
            if given[other] and not given[prop]:
                raise props.error(prop, f"given together with {other} (or leave out both)", None)
        if self.per_target is not None and not cdk.Token.is_unresolved(self.per_target) and self.per_target <= 0:
            raise props.error("calls_per_target", "more than 0", self.per_target)


def auto_scale(
    props: Props,
    service: ecs.FargateService,
    *,
    count_is_given: bool,
    fewest: int,
    min_capacity: int,
    max_capacity: int,
    cpu_percent: int | None,
    calls: Calls | None = None,
) -> ecs.ScalableTaskCount:
    """Let the number of tasks follow CPU and calls; deployments leave it alone from now on."""
    if count_is_given:
        fix = "a deployment would set the number of tasks back; leave out the count"
        raise props.conflict("desired_count", "auto_scale_task_count", fix)
    props.whole_number("min_capacity", min_capacity, fewest, MOST_TASKS)
    props.whole_number("max_capacity", max_capacity, 1, MOST_TASKS)
    known = not cdk.Token.is_unresolved(min_capacity) and not cdk.Token.is_unresolved(max_capacity)
    if known and min_capacity > max_capacity:
        raise props.error("max_capacity", f"at least min_capacity, {min_capacity}", max_capacity)
    if cpu_percent is not None:
        props.whole_number("cpu_percent", cpu_percent, 1, 100)
    calls = calls if calls is not None else Calls()
    calls.check(props)

    if service.node.try_find_child("TaskCount") is not None:
        raise props.error("auto_scale_task_count", "called once (add policies to what it returns)", "a second call")
    resource = service.node.find_child("Service")
    assert isinstance(resource, ecs.CfnService)  # noqa: S101 - what the CDK calls its child
    resource.add_property_deletion_override("DesiredCount")
    scaling = service.auto_scale_task_count(min_capacity=min_capacity, max_capacity=max_capacity)
    if cpu_percent is not None:
        scaling.scale_on_cpu_utilization("Cpu", target_utilization_percent=cpu_percent)
    if calls.metric is not None and calls.per_target is not None:
        scaling.scale_to_track_custom_metric("CallsPerTarget", metric=calls.metric, target_value=calls.per_target)
    return scaling
