"""ministack's stores behind the narrow shapes that ECS and the load balancers here need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.services import alb, ec2, ecs


class EcsStores:
    tasks = ecs._tasks
    services = ecs._services
    definitions = ecs._task_defs

    def is_gone(self, definition: str) -> bool:
        """Whether a task definition, by its ARN, is INACTIVE and neither a task nor a service refers to it."""
        found = self.definitions.get(definition.rpartition("/")[2])
        if found is None or found.get("status") != "INACTIVE":
            return False
        tasks = (task for task in self.tasks.values() if task["lastStatus"] != "STOPPED")
        users = (*tasks, *self.services.values())
        return not any(definition in (one.get("taskDefinitionArn"), one.get("taskDefinition")) for one in users)

    def refresh_counts(self, cluster: str, group: str) -> None:
        ecs._refresh_service_state(cluster, group)
        ecs._recount_cluster(cluster)

    def zone_of_subnet(self, subnet: str) -> str | None:
        found = ec2._subnets.get(subnet)
        return str(found["AvailabilityZone"]) if found else None


class Elbv2Stores:
    def load_balancers(self) -> list[Mapping[str, Any]]:
        return [lb for lb in alb._lbs.all_values() if lb.get("Type") == "network"]

    def listeners(self, balancer_arn: str) -> list[Mapping[str, Any]]:
        return [listener for listener in alb._listeners.all_values() if listener["LoadBalancerArn"] == balancer_arn]

    def target_group(self, arn: str) -> Mapping[str, Any] | None:
        return next((group for group in alb._tgs.all_values() if group["TargetGroupArn"] == arn), None)

    def registered(self, arn: str) -> list[Mapping[str, Any]]:
        return list(alb._targets.get(arn, []))

    def set_targets(self, arn: str, targets: list[tuple[str, int]], before: list[str]) -> None:
        alb.set_targets_for_group(arn, targets, before)

    def attributes(self, arn: str) -> Mapping[str, str]:
        return {attribute["Key"]: str(attribute["Value"]) for attribute in alb._tg_attrs.get(arn, [])}
