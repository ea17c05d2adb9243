"""Target groups: what ECS services register there, and the reading of ministack's ELBv2 records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from local_aws.stand_in.ecs import records
from local_aws.stand_in.ecs.records import Record
from local_aws.stand_in.load_balancing.envoy_config import Check, TargetAddress, TargetGroup


class Elbv2(Protocol):
    """ministack's own stores, in any account and region."""

    def target_group(self, arn: str) -> Mapping[str, Any] | None: ...
    def set_targets(self, arn: str, targets: list[tuple[str, int]], before: list[str]) -> None: ...
    def attributes(self, arn: str) -> Mapping[str, str]: ...


class Health(Protocol):
    def is_healthy(self, group_arn: str, ip: str) -> bool: ...
    def has_listener(self, group_arn: str) -> bool: ...


class ServiceTargets:
    """Keeps a service's tasks registered in the target groups of its `loadBalancers`."""

    def __init__(self, elbv2: Elbv2, health: Health, changed: Callable[[], None]) -> None:
        self._elbv2 = elbv2
        self._health = health
        self._changed = changed
        self._published: dict[tuple[str, str], list[TargetAddress]] = {}

    def register(self, service: Record, tasks: Iterable[Record]) -> None:
        """Running tasks take new connections; tasks told to stop drain: they keep the ones they have."""
        tasks = list(tasks)
        for balancer in service["loadBalancers"]:
            arn, port = balancer["targetGroupArn"], int(balancer["containerPort"])
            targets = [
                TargetAddress(task["_address"], port, draining=not records.is_wanted(task))
                for task in tasks
                if task["lastStatus"] in (records.RUNNING, records.DEACTIVATING, records.STOPPING)
            ]
            key = (service["serviceArn"], arn)
            before = self._published.get(key, [])
            if targets != before:
                self._published[key] = targets
                taking = [(target.ip, target.port) for target in targets if not target.draining]
                self._elbv2.set_targets(arn, taking, [target.ip for target in before])
                self._changed()

    def draining(self, group_arn: str) -> list[TargetAddress]:
        published = (targets for (_, arn), targets in self._published.items() if arn == group_arn)
        return [target for targets in published for target in targets if target.draining]

    def takes_in(self, service: Record, address: str) -> bool:
        """Whether every load balancer of the service has found the task healthy."""
        return all(
            self._health.is_healthy(balancer["targetGroupArn"], address)
            for balancer in service.get("loadBalancers") or ()
            if self._health.has_listener(balancer["targetGroupArn"])
        )

    def patience_seconds(self, service: Record) -> float:
        """How long a target must fail its check until AWS takes it for unhealthy: its interval times its threshold."""
        groups = [self._elbv2.target_group(balancer["targetGroupArn"]) for balancer in service["loadBalancers"]]
        checks = ((g["HealthCheckIntervalSeconds"], g["UnhealthyThresholdCount"]) for g in groups if g is not None)
        return max((float(interval) * int(threshold) for interval, threshold in checks), default=0.0)

    def deregistration_seconds(self, service: Record) -> float:
        delays = (self._elbv2.attributes(balancer["targetGroupArn"]) for balancer in service["loadBalancers"])
        return max(float(delay.get("deregistration_delay.timeout_seconds", 300)) for delay in delays)


def read_target_group(
    group: Mapping[str, Any], registered: Iterable[Mapping[str, Any]], draining: Iterable[TargetAddress]
) -> TargetGroup:
    leaving = tuple(draining)
    gone = {target.ip for target in leaving}
    taking = [TargetAddress(str(t["Id"]), int(t.get("Port") or group["Port"])) for t in registered]
    targets = sorted([t for t in taking if t.ip not in gone] + list(leaving), key=lambda target: target.ip)
    return TargetGroup(group_name(group), read_check(group), tuple(targets))


def group_name(group: Mapping[str, Any]) -> str:
    """Unique, and fit for a file's name."""
    return "-".join(str(group["TargetGroupArn"]).split("/")[-2:])


def read_check(group: Mapping[str, Any]) -> Check | None:
    if not group.get("HealthCheckEnabled", True):
        return None
    port = str(group.get("HealthCheckPort") or "traffic-port")
    http = str(group.get("HealthCheckProtocol", "")).startswith("HTTP")
    return Check(
        port=int(port) if port.isdecimal() else None,
        path=str(group.get("HealthCheckPath") or "/") if http else None,
        healthy_threshold=int(group.get("HealthyThresholdCount") or 2),
        unhealthy_threshold=int(group.get("UnhealthyThresholdCount") or 2),
        statuses=read_statuses(str((group.get("Matcher") or {}).get("HttpCode") or "200-399")),
    )


def read_statuses(matcher: str) -> tuple[tuple[int, int], ...]:
    """`200,204` or `200-399`, as a target group's matcher writes them."""
    ends = [part.split("-") for part in matcher.split(",")]
    return tuple((int(part[0]), int(part[-1])) for part in ends)
