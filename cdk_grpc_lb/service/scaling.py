"""The number of a service's tasks follows its load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb.service.deployment import MAX_TASKS
from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch


@dataclass(frozen=True, slots=True)
class ScalingCalls:
    """What a metric of the calls of each task should be: `metric`, or else the balancer's own."""

    metric: cloudwatch.IMetric | None = None
    per_target: float | None = None
    own_metric: Callable[[], cloudwatch.IMetric] | None = None

    def check(self, props: Props) -> None:
        if self.metric is not None and self.per_target is None:
            raise props.error("calls_per_target", "given together with calls_metric (or leave out both)", None)
        if self.per_target is not None and not is_unresolved(self.per_target) and self.per_target <= 0:
            raise props.error("calls_per_target", "more than 0", self.per_target)

    def tracked(self) -> cloudwatch.IMetric | None:
        """Raise ValueError where the balancer publishes no metric and none was given."""
        if self.per_target is None or self.metric is not None or self.own_metric is None:
            return self.metric
        return self.own_metric()


def auto_scale(
    props: Props,
    service: ecs.FargateService,
    *,
    count_is_given: bool,
    fewest: int,
    min_capacity: int,
    max_capacity: int,
    cpu_percent: int | None,
    calls: ScalingCalls | None = None,
) -> ecs.ScalableTaskCount:
    """Let the number of tasks follow CPU and calls; deployments do not set it from now on."""
    if count_is_given:
        fix = "a deployment would set the number of tasks back; leave out the count"
        raise props.conflict("desired_count", "auto_scale_task_count", fix)
    props.whole_number("min_capacity", min_capacity, fewest, MAX_TASKS)
    props.whole_number("max_capacity", max_capacity, 1, MAX_TASKS)
    known = not is_unresolved(min_capacity) and not is_unresolved(max_capacity)
    if known and min_capacity > max_capacity:
        raise props.error("max_capacity", f"at least min_capacity, {min_capacity}", max_capacity)
    if cpu_percent is not None:
        props.whole_number("cpu_percent", cpu_percent, 1, 100)
    calls = calls if calls is not None else ScalingCalls()
    calls.check(props)
    tracked = calls.tracked()

    if service.node.try_find_child("TaskCount") is not None:
        raise props.error("auto_scale_task_count", "called once (add policies to what it returns)", "a second call")
    resource = service.node.find_child("Service")
    assert isinstance(resource, ecs.CfnService)  # noqa: S101 - what the CDK calls its child
    resource.add_property_deletion_override("DesiredCount")
    scaling = service.auto_scale_task_count(min_capacity=min_capacity, max_capacity=max_capacity)
    if cpu_percent is not None:
        scaling.scale_on_cpu_utilization("Cpu", target_utilization_percent=cpu_percent)
    if tracked is not None and calls.per_target is not None:
        scaling.scale_to_track_custom_metric("CallsPerTarget", metric=tracked, target_value=calls.per_target)
    return scaling
